// Package mail holds the words every other package shares: addresses,
// envelopes and the replies that a client may see.
//
// Invariants of this package:
//
//   - An [Address] that exists is valid: it was parsed, its parts hold no CR,
//     LF or NUL, and String writes it back so that it reads as itself.
//   - Two addresses name the same mailbox exactly when their Keys are equal.
//   - A [Reply] never shows its private reason to a client.
package mail
