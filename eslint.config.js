// Type-aware lint with the import law: each ban says what to do instead (docs/architecture.md#import-law).
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const law = "See docs/architecture.md, import law.";

/** Layers inside a service, with what each may not import. */
const layers = {
  domain: ["app", "adapters", "rpc", "http", "ports"],
  app: ["adapters", "rpc", "http"],
  adapters: ["app", "rpc", "http"],
  rpc: ["adapters"],
  http: ["adapters"],
};

const upwards = (layer) => ({
  regex: `^(\\.\\./)+(${layers[layer].join("|")})(/|\\.ts$)`,
  message: `${layer} must not import ${layers[layer].join(", ")}: layers point one way. ${law}`,
});

/** Domain code is pure: of Node only what computes. */
const impureNode = [
  {
    regex: "^node:(?!crypto$|path$|path/posix$|util$|assert|net$|os$)",
    message: `domain has no I/O: of node: only crypto, path and util. ${law}`,
  },
  {
    regex: "^node:(net|os)$",
    allowImportNames: ["BlockList", "constants", "isIP", "isIPv4", "isIPv6"],
    message: `domain has no I/O: of node:net and node:os only what computes. ${law}`,
  },
];

const services = ["api-gateway", "image-service", "container-service", "build-service", "shim"];

const foreignServices = (own, except = []) => ({
  regex: `^@gantry/(${services.filter((name) => name !== own && !except.includes(name)).join("|")})(/|$)`,
  message: `A service imports no other service: only proto/ and packages/ are common ground. ${law}`,
});

const addon = {
  regex: "\\.node$",
  message: `Only native/lib loads the addon. ${law}`,
};

const restrict = (...patterns) => ["error", { patterns: [addon, ...patterns] }];

/** `process.env` and `process.stdout` each have one home. */
const noEnvironment = {
  selector: "MemberExpression[object.name='process'][property.name='env']",
  message: `Only packages/config reads process.env: take an EngineConfig. ${law}`,
};
const noStandardOutput = {
  selector:
    "MemberExpression[object.name='process'][property.name=/^(stdout|stderr)$/], MemberExpression[object.name='console']",
  message: `Only packages/logging touches standard output: use a Logger, or say(). ${law}`,
};
const noFork = {
  selector: "CallExpression[callee.name='fork'], CallExpression[callee.property.name='fork']",
  message: "fork() of a Node process into JavaScript costs 40 ms and 10 MiB: spawn a program.",
};

const serviceRules = services.map((own) => ({
  name: `gantry/service/${own}`,
  files: [`services/${own}/**/*.ts`],
  rules: {
    "no-restricted-imports": restrict(
      foreignServices(own, own === "container-service" ? ["shim"] : []),
    ),
  },
}));

const layerRules = services.flatMap((own) =>
  Object.keys(layers).map((layer) => ({
    name: `gantry/layer/${own}/${layer}`,
    files: [`services/${own}/src/${layer}/**/*.ts`],
    ignores: ["**/*.test.ts"],
    rules: {
      "no-restricted-imports": restrict(
        upwards(layer),
        foreignServices(own, own === "container-service" && layer !== "domain" ? ["shim"] : []),
        ...(layer === "domain" ? impureNode : []),
      ),
    },
  })),
);

export default defineConfig(
  globalIgnores([
    "**/node_modules/",
    "**/gen/",
    "dist/",
    ".cache/",
    "native/build*/",
    "bench/results/",
  ]),
  {
    name: "gantry/typescript",
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/no-unused-vars": [
        "error",
        {
          argsIgnorePattern: "^_",
          varsIgnorePattern: "^_",
          ignoreRestSiblings: true,
          ignoreUsingDeclarations: true,
        },
      ],
      "@typescript-eslint/prefer-nullish-coalescing": ["error", { ignorePrimitives: true }],
      // TypeScript keeps a narrowed type across await: `signal.aborted` checked again is "always false".
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-misused-spread": ["error", { allow: ["string"] }],
      "@typescript-eslint/no-non-null-assertion": "error",
      // Takes `return problem(…)`, whose type is undefined, for a mistake.
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", package: "node:test", name: ["describe", "it", "test", "suite"] },
          ],
        },
      ],
      // Ports are objects of closures, which need no `this`.
      "@typescript-eslint/unbound-method": "off",
      // Takes Promise.withResolvers<void>() for a mistake.
      "@typescript-eslint/no-invalid-void-type": "off",
      // Enums of protobuf and gRPC come off the wire as numbers, and Node's own streams from factories.
      "@typescript-eslint/no-unsafe-enum-assignment": "off",
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      // A generator that only delegates, or a handler that a port makes asynchronous, has nothing to await.
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/unified-signatures": "off",
      // Gates against what nobody can follow; the aims are 12, 3 and 4 (CONTRIBUTING.md). `??` counts.
      complexity: ["error", 22],
      "max-depth": ["error", 5],
      "max-params": ["error", 6],
      "no-console": "error",
      eqeqeq: "error",
      "no-restricted-syntax": ["error", noEnvironment, noStandardOutput, noFork],
      "no-restricted-imports": restrict(),
    },
  },
  {
    name: "gantry/packages",
    files: ["packages/**/*.ts"],
    rules: { "no-restricted-imports": restrict(foreignServices("")) },
  },
  ...serviceRules,
  ...layerRules,
  {
    // `process` is the OCI runtime-spec's object here.
    name: "gantry/oci-process",
    files: ["services/shim/src/compile/**/*.ts", "packages/oci/**/*.ts"],
    rules: { "no-restricted-syntax": ["error", noStandardOutput, noFork] },
  },
  {
    name: "gantry/native-lib",
    files: ["native/lib/**/*.ts"],
    rules: { "no-restricted-imports": "off" },
  },
  {
    name: "gantry/environment-home",
    files: [
      "packages/config/**/*.ts",
      "packages/testkit/**/*.ts",
      "scripts/**/*.ts",
      "bench/**/*.ts",
    ],
    rules: { "no-restricted-syntax": ["error", noStandardOutput, noFork] },
  },
  {
    name: "gantry/output-home",
    files: ["packages/logging/**/*.ts"],
    rules: { "no-restricted-syntax": ["error", noEnvironment, noFork], "no-console": "off" },
  },
  {
    name: "gantry/command-line",
    files: ["scripts/**/*.ts", "bench/**/*.ts", "e2e/**/*.ts"],
    rules: { "no-restricted-syntax": ["error", noFork], "no-console": "off" },
  },
  {
    // Translation of messages field by field: each field with a default counts as a branch.
    name: "gantry/field-lists",
    files: ["services/*/src/**/{encode,decode,rpc}/**/*.ts"],
    rules: { complexity: "off" },
  },
  {
    // Tests look into JSON answers as they come.
    name: "gantry/tests",
    files: ["**/*.test.ts", "**/test/**/*.ts", "e2e/**/*.ts", "packages/testkit/**/*.ts"],
    rules: {
      "no-restricted-syntax": "off",
      "max-params": "off",
      complexity: "off",
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-this-alias": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
    },
  },
);
