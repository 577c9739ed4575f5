# Runs one of the repository's checks; the build fails when the check does.
FROM node:22-bookworm
WORKDIR /src
COPY . .
ARG CHECK=
RUN npm run check -- ${CHECK}
