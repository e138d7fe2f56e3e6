package smtp

import (
	"time"

	"github.com/posthouse-mail/posthouse/internal/wire"
)

// Limits bound what one session may ask for. A zero field means its default.
type Limits struct {
	MessageSize  int64 // octets of one message; default 50 MiB
	Recipients   int   // of one message; default 1,000. As many again are refused one by one, then the connection closes
	CommandLine  int   // octets of a command line with its CRLF; default 2,048. AUTH may use 12,288 (RFC 4954 §4)
	Header       int   // octets of a message's header; default 1 MiB
	HeaderFields int   // fields of a message's header; default 10,000
	ReceivedHops int   // Received fields of a message; more are a loop; default 50
	Errors       int   // refused commands between two accepted messages, then 421; default 20, with LMTP 10,000
	Commands     int   // commands that move no mail between two messages, each one more is an error; default 100
	AuthFailures int   // failed logins, then 421; default 5
	MinRate      int64 // octets per second that content must arrive with after 30 seconds; default 500, negative: any

	// Delay slows down who only errs: the answers to failed logins, and to
	// refused commands from half of Errors on. Default 1 second; negative: none.
	Delay time.Duration
}

func (l Limits) withDefaults(p Protocol) Limits {
	setDefault(&l.MessageSize, 50<<20)
	setDefault(&l.Recipients, 1000)
	setDefault(&l.CommandLine, 2048)
	setDefault(&l.Header, 1<<20)
	setDefault(&l.HeaderFields, 10_000)
	setDefault(&l.ReceivedHops, 50)
	errors := 20
	if p == LMTP {
		errors = 10_000 // the client is our own queue: refused recipients are everyday life
	}
	setDefault(&l.Errors, errors)
	setDefault(&l.Commands, 100)
	setDefault(&l.AuthFailures, 5)
	setDefault(&l.MinRate, 500)
	setDefault(&l.Delay, time.Second)
	return l
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Timeouts of a connection. A zero field means its default.
type Timeouts struct {
	Idle      time.Duration // waiting for a command (RFC 5321 §4.5.3.2.7); default 5 minutes
	Line      time.Duration // from the first octet of a command to its end; default 1 minute
	Read      time.Duration // each read of content; default 3 minutes
	Write     time.Duration // each write; default 3 minutes
	Handshake time.Duration // a TLS handshake; default 30 seconds
}

func (t Timeouts) wire() wire.Timeouts {
	setDefault(&t.Idle, 5*time.Minute)
	return wire.Timeouts(t)
}
