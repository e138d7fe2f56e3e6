package imap

// parseNoop reads NOOP (RFC 9051 §6.1.2): what it is for, the updates, comes
// after every command.
func parseNoop(*parser) request { return requestFunc(nothing) }

// parseCheck reads CHECK (RFC 3501 §6.4.1): everything is durable already.
func parseCheck(*parser) request { return requestFunc(nothing) }
