/**
 * Time for people, the two largest units: `3 d 4 h`, `2 h 05 min`, `14 min 03 s`, `9 s`. Also runs in the
 * browser, so that the countdown goes on in the words it began with.
 * @param seconds whole seconds; less than none is none
 */
export function timeLeft(seconds: number): string {
  const left = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(left / 86_400), Math.floor(left / 3600), Math.floor(left / 60)];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${twoDigits(minutes % 60)} min`;
  if (minutes > 0) return `${minutes} min ${twoDigits(left % 60)} s`;
  return `${left} s`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
