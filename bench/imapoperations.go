package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// operation is something that is measured.
type operation struct {
	name   string
	unit   string
	times  float64 // the goal: so many times faster than the peer
	atMost float64 // or, where there is no peer's figure to reach, the most it may take
	needs  string  // a capability

	cold     bool // no round before the first that counts
	once     bool // one round only
	oursOnly bool
	run      func(ctx context.Context, s *contender) (float64, error)
}

const (
	milliseconds = "ms"
	perSecond    = "/s"
	kibibytes    = "KiB"
)

func (o *operation) named(text string) bool {
	return strings.Contains(strings.ToLower(o.name), strings.ToLower(text))
}

// operations are those of the table, in its order.
func operations(z sizes) []operation {
	all := []operation{
		command("UID FETCH 1:* (FLAGS)", 2),
		command("FETCH 1:* (ENVELOPE BODYSTRUCTURE)", 2),
		{name: "FETCH 1:* (ENVELOPE BODYSTRUCTURE), cold", unit: milliseconds, times: 10, cold: true, run: coldListing},
		command("UID FETCH 1:* (BODY.PEEK[])", 1.5),
		{name: "UID FETCH 1:* (BODY.PEEK[]), 50 KB", unit: milliseconds, times: 1.5, run: func(_ context.Context, s *contender) (float64, error) {
			return timed(s.big, "UID FETCH 1:* (BODY.PEEK[])")
		}},
		command("SEARCH FLAGGED", 2),
		command("SEARCH SUBJECT "+rare, 2),
		command("SORT (DATE) UTF-8 ALL", 2),
		storing("STORE 1:* +FLAGS"),
		storing("STORE 1:* +FLAGS.SILENT"),
		command("SEARCH BODY "+rare, 20),
		{name: "APPEND 1 KiB, durable", unit: perSecond, times: 4, run: func(ctx context.Context, s *contender) (float64, error) { return appends(ctx, s, z) }},
		{name: "login, select, logout", unit: perSecond, times: 2, run: func(ctx context.Context, s *contender) (float64, error) { return logins(ctx, s, z) }},
	}
	if z.million > 0 {
		large := operation{unit: milliseconds, oursOnly: z.millionPeer == 0, cold: true}
		warm, cold := large, large
		warm.name, warm.atMost, warm.cold, warm.run = fmt.Sprintf("SELECT of %d", z.million), 20, false, selectLarge
		cold.name, cold.atMost, cold.run = warm.name+", cold", 1000, selectLargeCold
		all = append(all, warm, cold)
	}
	for _, kind := range []struct {
		name   string
		atMost float64
		config *tls.Config
	}{{"plain", 6, nil}, {"TLS", 18, &tls.Config{InsecureSkipVerify: true}}} {
		all = append(all, operation{
			name: fmt.Sprintf("memory of a session in IDLE, %s, of %d", kind.name, z.idle), unit: kibibytes, atMost: kind.atMost,
			cold: true, once: true, oursOnly: true,
			run: func(ctx context.Context, s *contender) (float64, error) {
				return idleMemory(ctx, s, z, kind.config)
			},
		})
	}
	for i := range all {
		if strings.HasPrefix(all[i].name, "SORT") {
			all[i].needs = "SORT"
		}
	}
	return all
}

// command measures a command in the mailbox of messages of 3 KB.
func command(text string, times float64) operation {
	return operation{name: text, unit: milliseconds, times: times, run: func(_ context.Context, s *contender) (float64, error) {
		return timed(s.inbox, text)
	}}
}

// timed is how long a command takes, to the last octet of its answer.
func timed(c *imapConn, command string) (float64, error) {
	began := time.Now()
	_, err := c.do(command)
	return float64(time.Since(began).Microseconds()) / 1000, err
}

// storing measures STORE of a flag, and takes the flag away again.
func storing(command string) operation {
	return operation{name: command, unit: milliseconds, times: 1, run: func(_ context.Context, s *contender) (float64, error) {
		took, err := timed(s.inbox, command+` (\Answered)`)
		if err == nil {
			_, err = s.inbox.do(`STORE 1:* -FLAGS.SILENT (\Answered)`)
		}
		return took, err
	}}
}

// coldListing lists the mailbox right after a restart.
func coldListing(ctx context.Context, s *contender) (float64, error) {
	if err := restart(ctx, s); err != nil {
		return 0, err
	}
	return timed(s.inbox, "FETCH 1:* (ENVELOPE BODYSTRUCTURE)")
}

func restart(ctx context.Context, s *contender) error {
	s.close()
	if err := s.cold(ctx); err != nil {
		return err
	}
	return s.open(ctx)
}

func selectLarge(ctx context.Context, s *contender) (float64, error) {
	c, err := s.login(ctx, 1)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return timed(c, "SELECT Million")
}

func selectLargeCold(ctx context.Context, s *contender) (float64, error) {
	if err := restart(ctx, s); err != nil {
		return 0, err
	}
	return selectLarge(ctx, s)
}

// parallel lets sessions do operations, and returns how many they did in a second.
func parallel(ctx context.Context, z sizes, session func(ctx context.Context, i, operations int) error) (float64, error) {
	group, ctx := errgroup.WithContext(ctx)
	each := max(1, z.operations/z.sessions)
	began := time.Now()
	for i := range z.sessions {
		group.Go(func() error { return session(ctx, i, each) })
	}
	err := group.Wait()
	return float64(each*z.sessions) / time.Since(began).Seconds(), err
}

// parallelUser is the user of a session that works beside others.
func (z sizes) parallelUser(i int) int { return 2 + i%(z.accounts-2) }

// appends stores messages of 1 KiB in lock-step, each session in an account
// of its own.
func appends(ctx context.Context, s *contender, z sizes) (float64, error) {
	m := message(1 << 10)
	command := fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(m), m)
	return parallel(ctx, z, func(ctx context.Context, i, n int) error {
		c, err := s.login(ctx, z.parallelUser(i))
		if err != nil {
			return err
		}
		defer c.Close()
		for range n {
			if _, err := c.do(command); err != nil {
				return err
			}
		}
		return nil
	})
}

// logins connects, logs in, selects INBOX and logs out.
func logins(ctx context.Context, s *contender, z sizes) (float64, error) {
	return parallel(ctx, z, func(ctx context.Context, i, n int) error {
		for range n {
			c, err := s.selected(ctx, z.parallelUser(i), "INBOX")
			if err != nil {
				return err
			}
			_, err = c.do("LOGOUT")
			c.Close()
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// idleMemory is what a session in IDLE adds to the resident memory of our
// server. It is started for this with a memory limit below what it needs, so
// that its collector leaves no garbage and what is resident is in use.
func idleMemory(ctx context.Context, s *contender, z sizes, config *tls.Config) (float64, error) {
	s.close()
	s.node.env = []string{"GOMEMLIMIT=1MiB"}
	defer func() { s.node.env = nil }()
	if err := s.cold(ctx); err != nil {
		return 0, err
	}
	address := s.address
	if config != nil {
		address = s.node.address["imap+tls"]
	}
	var open []*imapConn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	connect := func(n int) (int, error) {
		for i := range n {
			c, err := loginIMAP(ctx, address, userName(z.parallelUser(i)), config)
			if err != nil {
				return 0, err
			}
			open = append(open, c)
			if _, err := c.do("SELECT INBOX"); err != nil {
				return 0, err
			}
			if err := c.idle(); err != nil {
				return 0, err
			}
		}
		return settledMemory(ctx, s.node.cmd.Process.Pid, 2*time.Second)
	}
	before, err := connect(z.accounts) // what is paid once
	if err != nil {
		return 0, err
	}
	after, err := connect(z.idle)
	return float64(after-before) / float64(z.idle) / 1024, err
}
