package storage

import "github.com/posthouse-mail/posthouse/internal/power"

// As finds an optional power T of a Store, Account or Mailbox (I is which of
// them), through wrappers that have a method Unwrap() I.
func As[T, I any](v I) (T, bool) { return power.Of[T](v) }
