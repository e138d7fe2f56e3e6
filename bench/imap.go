package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
)

// sizes is how much work the servers get.
type sizes struct {
	accounts    int // user0 and user1 have the mailboxes that are read, the others are for work in parallel
	messages    int // of 3 KB in one mailbox; a tenth of that of 50 KB in another
	rounds      int
	sessions    int // at the same time, where several work
	operations  int // in a round, where several sessions work
	idle        int // sessions in IDLE
	million     int // messages of the large mailbox; 0: none
	millionPeer int // of the peer's
}

// mailboxWork measures work with mailboxes over IMAP.
func mailboxWork(ctx context.Context, args []string, out io.Writer) error {
	var z sizes
	flags := flag.NewFlagSet("bench imap", flag.ExitOnError)
	flags.IntVar(&z.accounts, "accounts", 100, "`accounts`, at least 3")
	flags.IntVar(&z.messages, "messages", 10_000, "`messages` of about 3 KB, and a tenth of that of 50 KB")
	flags.IntVar(&z.rounds, "rounds", 5, "`rounds`, alternating between the servers")
	flags.IntVar(&z.sessions, "sessions", 10, "concurrent `sessions` that append and log in")
	flags.IntVar(&z.operations, "operations", 2000, "`operations` of all these sessions in a round")
	flags.IntVar(&z.idle, "idle", 2000, "`sessions` in IDLE")
	flags.IntVar(&z.million, "million", 0, "`messages` of the large mailbox, 1000000 for the figure of the table; 0: leave it out")
	flags.IntVar(&z.millionPeer, "million-peer", 0, "`messages` of the peer's large mailbox")
	only := flags.String("only", "", "measure only the operations whose names contain `text`")
	short := flags.Bool("short", false, "a tenth of the messages and one round, to see that it works")
	_ = flags.Parse(args)
	if *short {
		z = sizes{accounts: z.accounts, messages: 1000, rounds: 1, sessions: z.sessions, operations: 200, idle: 200, million: z.million / 10, millionPeer: z.millionPeer / 10}
	}
	rows, err := measureIMAP(ctx, z, *only)
	if err != nil {
		return err
	}
	return printIMAP(out, z, rows)
}

// row is a line of the table: medians, by contender. A figure that was not
// taken is 0.
type row struct {
	operation
	figures []float64
	note    string
}

func measureIMAP(ctx context.Context, z sizes, only string) ([]row, error) {
	contenders, err := startContenders(ctx, z.accounts)
	if err != nil {
		return nil, err
	}
	for _, s := range contenders {
		defer s.stop()
		if err := prepare(ctx, s, z); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		defer s.close()
	}
	var rows []row
	for _, op := range operations(z) {
		if !op.named(only) {
			continue
		}
		r := row{operation: op, figures: make([]float64, 2)}
		if !contenders[0].can(op.needs) {
			r.note = "no " + op.needs
		} else if err := r.measure(ctx, contenders, z); err != nil {
			return nil, fmt.Errorf("%s: %w", op.name, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// prepare fills a contender's mailboxes.
func prepare(ctx context.Context, s *contender, z sizes) error {
	w := newWriter() // both get the same messages
	if err := s.fill(ctx, 0, "INBOX", z.messages, func() string { return w.message(3 << 10) }); err != nil {
		return err
	}
	if err := s.fill(ctx, 0, "Big", z.messages/10, func() string { return w.message(50 << 10) }); err != nil {
		return err
	}
	for user := 1; user < z.accounts; user++ {
		if err := s.fill(ctx, user, "INBOX", 10, func() string { return w.message(1 << 10) }); err != nil {
			return err
		}
	}
	large := z.million
	if s.node == nil {
		large = z.millionPeer
	}
	n := 0
	tiny := func() string {
		n++
		return fmt.Sprintf("From: Someone <someone@example.org>\r\nTo: alice@example.test\r\nSubject: message %d of a great many\r\n"+
			"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@example.org>\r\n\r\n", n, n)
	}
	if large > 0 {
		if err := s.fill(ctx, 1, "Million", large, tiny); err != nil {
			return err
		}
	}
	return s.open(ctx)
}

// measure takes a row's figures: the contenders in turn, after a round that
// does not count where the operation is warm.
func (r *row) measure(ctx context.Context, contenders []*contender, z sizes) error {
	taken := make([][]float64, len(contenders))
	first, rounds := -1, z.rounds
	if r.cold {
		first = 0
	}
	if r.once {
		rounds = 1
	}
	for round := first; round < rounds; round++ {
		for i, s := range contenders {
			if r.oursOnly && s.node == nil {
				continue
			}
			f, err := r.run(ctx, s)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if round >= 0 {
				taken[i] = append(taken[i], f)
			}
		}
	}
	for i, f := range taken {
		if len(f) > 0 {
			r.figures[i] = median(f)
		}
	}
	return nil
}

func printIMAP(out io.Writer, z sizes, rows []row) error {
	fmt.Fprintf(out, "%d messages of about 3 KB, %d of 50 KB; %d sessions where several work; medians of %d rounds\n", z.messages, z.messages/10, z.sessions, z.rounds)
	fmt.Fprint(out, "warm: once before, not counted. cold: the server restarted, Dovecot's dovecot.index.cache removed, files still in the page cache\n")
	fmt.Fprint(out, "memory: resident, the server started with GOMEMLIMIT=1MiB, so that its collector leaves no garbage\n\n")
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "operation\tPosthouse\tDovecot\tunit\tratio\tgoal\t\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.name, figure(r.figures[0]), figure(r.figures[1]), r.unit, r.ratioText(), r.goalText(), r.verdict())
	}
	return t.Flush()
}

func figure(f float64) string {
	switch {
	case f == 0:
		return "-"
	case f < 10:
		return fmt.Sprintf("%.2f", f)
	case f < 100:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.0f", f)
}

// ratio is how many times faster this server is; 0: nothing to compare with.
func (r *row) ratio() float64 {
	ours, theirs := r.figures[0], r.figures[1]
	switch {
	case ours == 0 || theirs == 0:
		return 0
	case r.unit == perSecond:
		return ours / theirs
	}
	return theirs / ours
}

func (r *row) ratioText() string {
	if r.ratio() == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", r.ratio())
}

func (r *row) goalText() string {
	switch {
	case r.atMost > 0:
		return fmt.Sprintf("<= %v %s", r.atMost, r.unit)
	case r.times > 0:
		return fmt.Sprintf("%vx", r.times)
	}
	return "-"
}

func (r *row) verdict() string {
	switch {
	case r.note != "":
		return r.note
	case r.atMost > 0 && r.figures[0] > 0:
		return verdict(r.figures[0] <= r.atMost)
	case r.times > 0 && r.ratio() > 0:
		return verdict(r.ratio() >= r.times)
	}
	return ""
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "missed"
}
