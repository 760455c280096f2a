# syntax=docker/dockerfile:1
# One image for every role; the role is the command: `docker run … paidonce consume`.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The compiler's program is an optional package, one per platform. No install script is needed to build.
RUN npm ci --include=dev --include=optional --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src src
RUN node node_modules/typescript/bin/tsc -p .

# What runs: no compiler, no tests, and no embedded Postgres, which is an optional dependency for `up` and tests.
FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24-slim
# With a name, which `exceptions` and `charges` write down as the one who decided.
RUN groupadd --gid 10001 paidonce && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin paidonce
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist/src dist/src
COPY assets assets
COPY package.json LICENSE ./
# The files belong to root: the service can't change its own code. By number: of a user that is only named Kubernetes can't
# tell whether it is root. A high one: 1000 is a person on most machines.
USER 10001:10001
# Asks the database and Redis, as every role needs them; the api has its own check in docker-compose.yml.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["node", "dist/src/cli.js", "status", "--ready"]
ENTRYPOINT ["node", "dist/src/cli.js"]
CMD ["--help"]
