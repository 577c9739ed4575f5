export {
  createLogger,
  type LogFields,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  logFatalErrors,
  silentLogger,
} from "./logger.ts";
export { complain, say } from "./terminal.ts";
