import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";

/**
 * Makes a folder that is kept for later runs, if that was not done before.
 * @param make fills the folder that it is given, which is renamed when it is whole
 * @returns the folder
 */
export async function bring(folder: string, make: (making: string) => Promise<unknown>): Promise<string> {
  if (existsSync(folder)) return folder;
  // Apart, and moved when it is whole: another test may do the same at this moment, or die in the middle.
  const making = `${folder}.${process.pid}`;
  await rm(making, { recursive: true, force: true });
  await mkdir(making, { recursive: true });
  try {
    await make(making);
    await rename(making, folder);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
