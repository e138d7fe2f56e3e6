package auth

import "log/slog"

// String keeps passwords out of logs: it shows the user and where he came from.
func (c Credentials) String() string { return c.User + " from " + c.Remote.String() }

// GoString is String, for the verb %#v.
func (c Credentials) GoString() string { return c.String() }

// LogValue keeps passwords out of structured logs.
func (c Credentials) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("service", c.Service), slog.String("user", c.User),
		slog.String("remote", c.Remote.String()), slog.Bool("secure", c.Secure),
	)
}

// String keeps secrets out of logs: it shows their kind.
func (s Secret) String() string { return "secret of kind " + s.Scheme }

// GoString is String, for the verb %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue keeps secrets out of structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
