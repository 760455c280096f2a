import { registerHooks } from "node:module";

/**
 * From now on whoever imports `original` gets `variant` instead; only the variant itself gets the original. For roles
 * that are started with `node --import`: the product's own code stays as it is.
 * @param original URL of the product's module
 * @param variant URL of a module with the same exports
 */
export function replaceModule(original: string, variant: string): void {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const resolved = nextResolve(specifier, context);
      if (resolved.url !== original || context.parentURL === variant) return resolved;
      return { ...resolved, url: variant };
    },
  });
}
