export { nowNano } from "./clock.ts";
export { type Cursor, formatCursor, parseCursor } from "./cursor.ts";
export { eventJson, eventSubject, type LoggedEvent, type NewEvent } from "./event.ts";
export {
  EventFeed,
  type EventFeedOptions,
  type EventPages,
  type EventSource,
  type SubscribeOptions,
  type SubscriptionStep,
} from "./event-feed.ts";
export { type EventLog, type EventLogOptions, openEventLog } from "./event-log.ts";
export { implementEventService } from "./event-service.ts";
export { type EventTable, type EventTableOptions, openEventTable } from "./event-table.ts";
export { type Outbox, type OutboxOptions, startOutbox } from "./outbox.ts";
