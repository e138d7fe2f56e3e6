package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

// proxySizes is how much work front ends get.
type proxySizes struct {
	rounds   int
	round    time.Duration
	clients  []int // that log in at the same time
	accounts int
	messages int           // of 50 KB, in a FETCH
	idle     []int         // sessions, growing
	settle   time.Duration // between two looks at memory
	slow     int           // readers that are slow
	others   int           // sessions beside them
}

// proxyBench is one run.
type proxyBench struct {
	proxySizes
	only     string
	progress io.Writer
	frontend string // the program
	rows     []*proxyRow
}

// proxyWork measures front ends side by side.
func proxyWork(ctx context.Context, args []string, out io.Writer) error {
	b := &proxyBench{progress: os.Stderr, proxySizes: proxySizes{
		clients: []int{1, 10, 50}, idle: []int{2000, 8000}, messages: 1000, accounts: 100, slow: 10, others: 10, settle: 2 * time.Second,
	}}
	flags := flag.NewFlagSet("bench proxy", flag.ExitOnError)
	flags.IntVar(&b.rounds, "rounds", 9, "`rounds`, alternating between the front ends")
	flags.DurationVar(&b.round, "round", 200*time.Millisecond, "how long a round is")
	flags.StringVar(&b.only, "only", "", "measure only the rows whose names contain `text`")
	short := flags.Bool("short", false, "short rounds and few sessions, to see that it works")
	_ = flags.Parse(args)
	if *short {
		b.rounds, b.round, b.messages, b.clients = 2, 150*time.Millisecond, 200, []int{10}
		b.idle, b.settle = []int{400}, 500*time.Millisecond
	}
	return b.run(ctx, out)
}

func (b *proxyBench) run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if b.frontend, err = buildExample(ctx, dir, "frontend"); err != nil {
		return err
	}
	reportMissing(out)
	for _, part := range []func(context.Context) error{b.beforeStub, b.beforeDovecot, b.beforeNode, b.idling} {
		if err = part(ctx); err != nil {
			break
		}
	}
	return errors.Join(err, printProxy(out, b)) // what there is, after an error too
}

// wants reports whether any of some rows is to be measured.
func (b *proxyBench) wants(names ...string) bool {
	for _, name := range names {
		if strings.Contains(strings.ToLower(name), strings.ToLower(b.only)) {
			return true
		}
	}
	return false
}

// row adds a row to the table.
func (b *proxyBench) row(name, unit string, goals ...goal) *proxyRow {
	r := &proxyRow{name: name, unit: unit, goals: goals, figures: map[string]float64{}}
	b.rows = append(b.rows, r)
	fmt.Fprintln(b.progress, name)
	return r
}

// beforeStub measures what proxies do themselves.
func (b *proxyBench) beforeStub(ctx context.Context) error {
	s, err := startStub()
	if err != nil {
		return err
	}
	defer s.stop()
	to := backEnds{name: "stub", imap: portOf(s.imap), pop3: portOf(s.pop3)}
	return b.before(ctx, to, func(ways []*way) error {
		return errors.Join(b.allLogins(ctx, to, ways), b.fetching(ctx, to, ways, 1), b.fetching(ctx, to, ways, 8), b.slowReaders(ctx, ways))
	})
}

// beforeDovecot measures the same as a part of a larger whole.
func (b *proxyBench) beforeDovecot(ctx context.Context) error {
	if !installed("dovecot") || os.Getuid() != 0 {
		fmt.Fprintln(b.progress, "no Dovecot as a back end: it is not installed, or only root can start it")
		return nil
	}
	if !b.wants(append(b.loginNames("Dovecot"), fetchName("Dovecot", 1))...) {
		return nil
	}
	d, err := realtest.StartDovecot(ctx, b.accounts)
	if err != nil {
		return err
	}
	defer d.Stop()
	to := backEnds{name: "Dovecot", imap: d.IMAP, pop3: d.POP3}
	if err := b.fill(ctx, to); err != nil {
		return err
	}
	return b.before(ctx, to, func(ways []*way) error {
		return errors.Join(b.allLogins(ctx, to, ways), b.fetching(ctx, to, ways, 1))
	})
}

func (b *proxyBench) beforeNode(ctx context.Context) error {
	if !b.wants(b.loginNames("Posthouse")...) {
		return nil
	}
	n, err := startNode(ctx, b.accounts, "imap")
	if err != nil {
		return err
	}
	defer n.stop()
	var port int
	if _, err := fmt.Sscanf(n.address["imap"], "127.0.0.1:%d", &port); err != nil {
		return err
	}
	to := backEnds{name: "Posthouse", imap: port}
	return b.before(ctx, to, func(ways []*way) error { return b.allLogins(ctx, to, ways) })
}

// before runs a part of the benchmark before a back end.
func (b *proxyBench) before(ctx context.Context, to backEnds, part func([]*way) error) error {
	ways, err := startWays(ctx, b.frontend, to)
	if err != nil {
		return err
	}
	defer stopWays(ways)
	return part(ways)
}

// fill gives the first account the mailbox that is fetched.
func (b *proxyBench) fill(ctx context.Context, to backEnds) error {
	w := newWriter()
	c := &contender{name: to.name, address: loopback(to.imap)}
	return c.fill(ctx, 0, "INBOX", b.messages, func() string { return w.message(bodySize) })
}
