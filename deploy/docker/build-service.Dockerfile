FROM base
# It ends when it has nothing to do: quick, not small, as in the supervisor.
ENTRYPOINT ["/usr/lib/gantry/bin/node", "--disable-warning=ExperimentalWarning"]
CMD ["/usr/lib/gantry/dist/build-service/main.mjs"]
