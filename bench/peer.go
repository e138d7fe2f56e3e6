package main

import (
	"context"
	"fmt"
	"time"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// peer is Postfix in front of Dovecot.
type peer struct {
	postfix *realtest.Postfix
	dovecot *realtest.Dovecot
}

func (*peer) name() string { return "Postfix, by LMTP to Dovecot (sdbox)" }

func startPostfixDovecot(ctx context.Context) (*peer, error) {
	d, err := realtest.StartDovecot(ctx, mailboxes)
	if err != nil {
		return nil, err
	}
	p, err := realtest.StartPostfix(ctx, realtest.PostfixRoutes{"example.test": fmt.Sprintf("lmtp:inet:[127.0.0.1]:%d", d.LMTP)})
	if err != nil {
		d.Stop()
		return nil, err
	}
	return &peer{p, d}, nil
}

// deliver: Postfix's 250 says that the message is in its queue; it is in its
// mailbox when the queue is empty.
func (p *peer) deliver(ctx context.Context, l load) (float64, error) {
	began := time.Now()
	if err := send(ctx, fmt.Sprintf("127.0.0.1:%d", p.postfix.SMTP), "example.test", l); err != nil {
		return 0, err
	}
	for p.postfix.Queued() > 0 {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return float64(l.messages) / time.Since(began).Seconds(), nil
}

func (p *peer) stop() {
	p.postfix.Stop()
	p.dovecot.Stop()
}
