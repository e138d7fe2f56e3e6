package proxy

import (
	"context"
	"log/slog"

	"github.com/posthouse-mail/posthouse/internal/splice"
	"github.com/posthouse-mail/posthouse/internal/wire"
)

// Relay moves octets between the client and the back end, beginning with what
// either Conn has pending or has read ahead, until both sides have ended, the
// session is kicked, or ctx ends. Both connections are closed then. The error
// says why it ended; nil when the sides did in order.
//
// The end of one side is passed on, and the other may finish what it says: for
// Backend.ReadWrite after the last octet, after the back end's end for 30
// seconds. A connection that was reset resets the other. What is sent must be
// accepted within Backend.ReadWrite, and nothing at all may happen for
// Backend.Idle. A back end's host that vanishes without a word is noticed
// after Backend.ReadWrite and at most a quarter more, also while nothing is
// said (elsewhere than on Linux: while something is, in the system's own time).
//
// When the client's Conn is interrupted, because its server stops, a session
// goes on while octets move or the client waits for an answer, and is closed
// when nothing has moved for two seconds: without a farewell, since nobody
// knows here whether the last octet ended a message.
//
// The goroutine that calls Relay waits with the stack that the login has
// grown. HandOver needs none.
func (l *Link) Relay(ctx context.Context, client *wire.Conn) error {
	done := make(chan error, 1)
	l.relay(ctx, client, func(err error) { done <- err })
	return <-done
}

// HandOver makes Relay begin when the handler of the client's session has
// returned, as it must do at once, without closing anything. done is told
// what Relay would have returned, after both connections were closed. ctx must
// live until then: it is the handler's, or one that done ends.
func (l *Link) HandOver(ctx context.Context, client *wire.Conn, done func(error)) {
	client.HandOver(func(end func()) {
		l.relay(ctx, client, func(err error) {
			defer end()
			done(err)
		})
	})
}

// relay begins, and calls done when it has ended.
func (l *Link) relay(ctx context.Context, client *wire.Conn, done func(error)) {
	l.LoggedIn()
	ctx, cut := context.WithCancelCause(ctx)
	l.seat.cutBy(cut) // a kick ends the relay as it ends an attempt
	closed := func(by splice.Party, err error) {
		l.endedBy = by
		if l.seat.wasKicked() {
			err = ErrKicked
		}
		defer done(err)
		defer client.Close()
		l.seat.cutBy(nil)
		cut(nil)
		l.Close()
	}
	t := splice.Timeouts{Stuck: l.backend.ReadWrite, Idle: l.backend.Idle}
	if err := splice.Start(ctx, client, l.Conn, t, closed); err != nil {
		closed(splice.Nobody, err)
	}
}

// LogEnd tells the log that a relayed session has ended, and who has ended it:
// the client, the back end, or nobody (a kick, a time-out, the end of the
// server). err is what Relay has returned, or HandOver has told. A back end that
// has broken off is worth a warning.
func (l *Link) LogEnd(ctx context.Context, logger *slog.Logger, err error) {
	attrs := []slog.Attr{
		slog.String("service", l.client.Protocol.String()), slog.String("remote", l.client.Remote.Addr().String()),
		slog.String("session", l.client.Session), slog.String("backend", l.route.String()), slog.String("by", l.endedBy.String()),
	}
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.String("err", err.Error()))
		if l.endedBy == splice.Server {
			level = slog.LevelWarn
		}
	}
	logger.LogAttrs(ctx, level, "session ended", attrs...)
}
