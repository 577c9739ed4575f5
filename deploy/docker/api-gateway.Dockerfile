FROM base
CMD ["/usr/lib/gantry/dist/api-gateway/main.mjs"]
