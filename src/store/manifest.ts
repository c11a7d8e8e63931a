// The record of a crash as stored beside its core: written last, so a crash without one is unfinished. docs/format.md
// specifies it; this module is the only one that knows its JSON.
