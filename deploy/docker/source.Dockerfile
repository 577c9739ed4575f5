# The sources with npm's packages and the generated code: what the images and the checks are made from.
FROM node:22-bookworm
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.npm npm run generate
