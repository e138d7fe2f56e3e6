package main

import (
	"context"
	"crypto/tls"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// idleName names a row of the memory of sessions.
func idleName(how string, n int) string {
	return fmt.Sprintf("memory of an idle session, %s, of %d", how, n)
}

// warmUp is how many sessions there are before memory is counted: what is paid
// once.
const warmUp = 50

// idling measures the memory of sessions in which nothing happens, on front
// ends that have done nothing else.
func (b *proxyBench) idling(ctx context.Context) error {
	for _, how := range []struct {
		name    string
		config  *tls.Config
		address func(w *way) string
		atMost  float64
	}{
		{"plain", nil, func(w *way) string { return w.imap }, 8},
		{"TLS", &tls.Config{InsecureSkipVerify: true}, func(w *way) string { return w.imapTLS }, 18},
	} {
		if !b.wants(idleName(how.name, b.idle[0])) {
			continue
		}
		s, err := startStub()
		if err != nil {
			return err
		}
		defer s.stop()
		var rows []*proxyRow
		for _, n := range b.idle {
			rows = append(rows, b.row(idleName(how.name, n), kibibytes, goal{atMost: how.atMost}))
		}
		measure := func(ways []*way) error {
			for _, w := range ways {
				if w.pid == 0 {
					continue
				}
				if err := b.idleAt(ctx, w, how.address(w), how.config, rows); err != nil {
					return fmt.Errorf("%s: %s: %w", rows[0].name, w.name, err)
				}
			}
			return nil
		}
		ways, err := startWays(ctx, b.frontend, backEnds{name: "stub", imap: portOf(s.imap), pop3: portOf(s.pop3)}, "GOMEMLIMIT=1MiB")
		if err != nil {
			return err
		}
		err = measure(ways)
		stopWays(ways)
		if err != nil {
			return err
		}
	}
	return nil
}

// idleAt measures one front end, for each number of sessions.
func (b *proxyBench) idleAt(ctx context.Context, w *way, address string, config *tls.Config, rows []*proxyRow) error {
	open, err := connectAll(ctx, address, config, warmUp)
	defer func() { closeAll(open) }()
	if err != nil {
		return err
	}
	before, err := settledMemory(ctx, w.pid, b.settle)
	if err != nil {
		return err
	}
	for i, n := range b.idle {
		more, err := connectAll(ctx, address, config, warmUp+n-len(open))
		open = append(open, more...)
		if err != nil {
			return err
		}
		after, err := settledMemory(ctx, w.pid, b.settle)
		if err != nil {
			return err
		}
		rows[i].figures[w.name] = float64(after-before) / float64(n) / 1024
	}
	return nil
}

// connectAll logs sessions in, some at a time. Those that it returns are to be
// closed, after an error too.
func connectAll(ctx context.Context, address string, config *tls.Config, n int) ([]*imapConn, error) {
	const atOnce = 8
	parts := make([][]*imapConn, atOnce)
	var group errgroup.Group
	for i := range atOnce {
		group.Go(func() error {
			for k := i; k < n && ctx.Err() == nil; k += atOnce {
				c, err := loginIMAP(ctx, address, userName(k%100), config)
				if err != nil {
					return err
				}
				c.buf, c.tail = nil, nil
				parts[i] = append(parts[i], c)
			}
			return ctx.Err()
		})
	}
	err := group.Wait()
	var all []*imapConn
	for _, p := range parts {
		all = append(all, p...)
	}
	return all, err
}
