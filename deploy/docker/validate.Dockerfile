# Runs one of the repository's checks; the build fails when the check does.
FROM source
ARG CHECK=
RUN npm run check -- ${CHECK}
