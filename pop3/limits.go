package pop3

import (
	"time"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// Limits bound what one session may do. A zero field means its default.
type Limits struct {
	BadCommands  int // commands that could not be understood, then the session is closed; default 20
	AuthFailures int // failed logins, then the session is closed; default 5
	Sessions     int // simultaneous sessions of one maildrop; default 1 (RFC 1939 §4: exclusive)
	Messages     int // messages that a session lists, the oldest; default 1,000,000
}

func (l Limits) withDefaults() Limits {
	l.BadCommands = orDefault(l.BadCommands, 20)
	l.Sessions = orDefault(l.Sessions, 1)
	l.Messages = orDefault(l.Messages, 1_000_000)
	return l
}

// Timeouts of a session. A zero field means its default.
type Timeouts struct {
	Login     time.Duration // waiting for a command before login; default 3 minutes
	Idle      time.Duration // waiting for a command after login; default 10 minutes (RFC 1939 §3: at least)
	Line      time.Duration // from the first octet of a line to its end; default 1 minute
	Write     time.Duration // each write; default 3 minutes
	Handshake time.Duration // a TLS handshake; default 30 seconds
	AuthDelay time.Duration // grows with each failed login by this; default 1 second, negative: none
}

func (t Timeouts) wire() wire.Timeouts {
	return wire.Timeouts{
		Idle: orDefault(t.Login, 3*time.Minute), Line: t.Line, Write: t.Write, Handshake: t.Handshake,
	}
}

func (t Timeouts) idle() time.Duration { return orDefault(t.Idle, 10*time.Minute) }

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
