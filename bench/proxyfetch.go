package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// fetching measures bulk FETCH of bodies, with the sessions logged in before.
func (b *proxyBench) fetching(ctx context.Context, to backEnds, ways []*way, clients int) error {
	name := fetchName(to.name, clients)
	if !b.wants(name) {
		return nil
	}
	r := b.row(name, megabytes, bulkGoals...)
	sessions := map[string][]*imapConn{}
	defer func() {
		for _, all := range sessions {
			closeAll(all)
		}
	}()
	for _, w := range ways {
		for range clients {
			c, err := loginIMAP(ctx, w.imap, userName(0), nil)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			sessions[w.name] = append(sessions[w.name], c)
			if _, err := c.do("SELECT INBOX"); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	taken := map[string][]float64{}
	for round := -1; round < b.rounds; round++ {
		for _, w := range ways {
			rate, err := b.fetch(sessions[w.name])
			if err != nil {
				return fmt.Errorf("%s: %s: %w", name, w.name, err)
			}
			if round >= 0 {
				taken[w.name] = append(taken[w.name], rate)
			}
		}
	}
	r.figures = medians(taken)
	return nil
}

// fetchName names a row of bulk FETCH.
func fetchName(back string, clients int) string {
	return fmt.Sprintf("FETCH of 50 KB bodies at %s, %d clients", back, clients)
}

// fetch lets sessions fetch for a round, and returns the megabytes of a second.
func (b *proxyBench) fetch(sessions []*imapConn) (float64, error) {
	began := time.Now()
	sizes := make([]int, len(sessions))
	var group errgroup.Group
	for i, c := range sessions {
		group.Go(func() error {
			for time.Since(began) < b.round {
				n, err := c.do(fmt.Sprintf("UID FETCH 1:%d (BODY.PEEK[])", b.messages))
				if err != nil {
					return err
				}
				sizes[i] += n
			}
			return nil
		})
	}
	err := group.Wait()
	total := 0
	for _, n := range sizes {
		total += n
	}
	return float64(total) / 1e6 / time.Since(began).Seconds(), err
}

func closeAll(sessions []*imapConn) {
	for _, c := range sessions {
		c.Close()
	}
}

// slowRate is what a slow reader takes in a second, in octets.
const slowRate = 64 << 10

// slowReaders measures what clients that read a large literal slowly cost the
// memory of a front end and the patience of others.
func (b *proxyBench) slowReaders(ctx context.Context, ways []*way) error {
	name := fmt.Sprintf("NOOP beside %d slow readers, p99", b.slow)
	if !b.wants(name, "memory of a slow reader") {
		return nil
	}
	alone := b.row("NOOP, p99", microseconds)
	beside := b.row(name, microseconds)
	memory := b.row("memory of a slow reader", kibibytes, goal{atMost: 64})
	calm, pressed, grown := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for range b.rounds {
		for _, w := range ways {
			c, p, g, err := b.slowRound(ctx, w)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", name, w.name, err)
			}
			calm[w.name], pressed[w.name], grown[w.name] = append(calm[w.name], c), append(pressed[w.name], p), append(grown[w.name], g)
		}
	}
	alone.figures, beside.figures, memory.figures = medians(calm), medians(pressed), medians(grown)
	beside.goals = []goal{{atMost: 2 * alone.figures[ours], text: "< 2x alone"}}
	return nil
}

// slowRound returns p99 without and with slow readers, and the memory of each.
func (b *proxyBench) slowRound(ctx context.Context, w *way) (alone, beside, memory float64, err error) {
	others, err := connectAll(ctx, w.imap, nil, b.others)
	defer closeAll(others)
	if err != nil {
		return 0, 0, 0, err
	}
	if alone, err = b.p99(others); err != nil {
		return 0, 0, 0, err
	}
	slow, err := connectAll(ctx, w.imap, nil, b.slow)
	var readers errgroup.Group
	defer func() {
		closeAll(slow)
		_ = readers.Wait()
	}()
	if err != nil {
		return 0, 0, 0, err
	}
	before, err := w.resident()
	if err != nil {
		return 0, 0, 0, err
	}
	for _, c := range slow {
		readers.Go(c.readSlowly)
	}
	if beside, err = b.p99(others); err != nil {
		return 0, 0, 0, err
	}
	after, err := w.resident()
	return alone, beside, max(0, float64(after-before)/float64(b.slow)/1024), err
}

func (w *way) resident() (int, error) {
	if w.pid == 0 {
		return 0, nil
	}
	return residentAll(w.pid)
}

// readSlowly asks for a large literal and takes a tenth of slowRate ten times a
// second, until the connection is closed.
func (c *imapConn) readSlowly() error {
	if _, err := c.Write([]byte("s FETCH 1 (BODY.PEEK[])\r\n")); err != nil {
		return err
	}
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	buf := make([]byte, slowRate/10)
	for range t.C {
		if _, err := c.Read(buf); err != nil {
			return err
		}
	}
	return nil
}

// p99 is how long 99 of 100 round trips take at most, in microseconds.
func (b *proxyBench) p99(sessions []*imapConn) (float64, error) {
	took := make([][]time.Duration, len(sessions))
	end := time.Now().Add(b.round)
	var group errgroup.Group
	for i, c := range sessions {
		group.Go(func() error {
			for time.Now().Before(end) {
				began := time.Now()
				if _, err := c.do("NOOP"); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(began))
			}
			return nil
		})
	}
	err := group.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	if len(all) == 0 {
		return 0, err
	}
	return float64(all[len(all)*99/100].Nanoseconds()) / 1000, err
}
