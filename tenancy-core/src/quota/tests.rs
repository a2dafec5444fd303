//! Decisions, calendars, limits and counters, each against a naive model.
