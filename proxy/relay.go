package proxy

import (
	"context"

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
// Backend.Idle.
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
	closed := func(err error) {
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
		closed(err)
	}
}
