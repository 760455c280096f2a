/** Where the peers' messages wait, in Redis: apart from the peers, which begin to work when they are imported. */
export const TEXTBOOK_STREAM = "textbook";
export const TEXTBOOK_GROUP = "textbook";
export const BULLMQ_QUEUE = "payments";
