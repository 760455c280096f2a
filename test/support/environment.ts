// Loaded by mocha before any test: this process and those it starts may use checkpoints.
process.env.PAIDONCE_TEST = "1";
