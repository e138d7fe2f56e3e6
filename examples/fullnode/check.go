package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/term"

	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// checkOptions are the flags of the command check.
type checkOptions struct {
	repair, dropDamaged bool
}

func parseCheck(args []string) (o checkOptions, err error) {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.BoolVar(&o.repair, "repair", false, "repair what is damaged, after saying how")
	flags.BoolVar(&o.dropDamaged, "drop-damaged", false, "with -repair: remove messages whose content is damaged")
	switch err := flags.Parse(args); {
	case err != nil:
		return o, errReported // the flag set has printed it
	case flags.NArg() > 0:
		return o, fmt.Errorf("check: unknown word %q", flags.Arg(0))
	case o.dropDamaged && !o.repair:
		return o, errors.New("check: -drop-damaged is for -repair")
	}
	return o, nil
}

// checkEvent is what a check tells, one of these.
type checkEvent struct {
	Progress *storagelocal.Progress `json:"progress,omitempty"`
	Damage   *storagelocal.Damage   `json:"damage,omitempty"`
	Summary  *checkSummary          `json:"summary,omitempty"` // comes last
	Error    string                 `json:"error,omitempty"`   // comes last when the check could not finish
}

// checkSummary is what a check has seen.
type checkSummary struct {
	Store   storagelocal.Summary
	Queue   queuelocal.Summary
	Damages int
	Took    time.Duration
}

func (s *checkSummary) String() string {
	return fmt.Sprintf("checked %d accounts, %d mailboxes, %d messages of %s, %d bodies and %s in %d segments, and %d queued messages in %.1f s: %d damages",
		s.Store.Accounts, s.Store.Mailboxes, s.Store.Messages, octets(s.Store.Octets), s.Store.Bodies, octets(s.Store.Log), s.Store.Segments,
		s.Queue.Messages, s.Took.Seconds(), s.Damages)
}

// inspect verifies everything in the data directory.
func (o *opened) inspect(ctx context.Context, tell func(checkEvent)) {
	var s checkSummary
	begin := time.Now()
	progress := func(p storagelocal.Progress) { tell(checkEvent{Progress: &p}) }
	report := func(d storagelocal.Damage) {
		s.Damages++
		tell(checkEvent{Damage: &d})
	}
	var err error
	s.Store, err = o.store.Inspect(ctx, storagelocal.Inspection{Report: report, Progress: progress, Others: []storagelocal.References{o.queue.References}})
	if err == nil {
		s.Queue, err = o.queue.Inspect(ctx, queuelocal.Inspection{Report: report, Progress: progress})
	}
	if err != nil {
		tell(checkEvent{Error: err.Error()})
		return
	}
	s.Took = time.Since(begin)
	tell(checkEvent{Summary: &s})
}

// check answers an event per line, while the check goes on.
func (c *control) check(w http.ResponseWriter, r *http.Request) error {
	lines, flush := json.NewEncoder(w), http.NewResponseController(w)
	c.open.inspect(r.Context(), func(e checkEvent) {
		_ = lines.Encode(e) // when nobody listens any more the context ends
		_ = flush.Flush()
	})
	return nil
}

// checkNode checks through the node that serves the data directory.
func (c *command) checkNode(args []string) (func(ctx context.Context) error, error) {
	o, err := parseCheck(args)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if o.repair {
			return errors.New("check -repair: a node serves the data directory; stop it first")
		}
		answer, err := c.call(ctx, http.MethodPost, "/check", nil)
		if err != nil {
			return err
		}
		defer answer.Close()
		p := newCheckPrinter(c.out)
		for d := json.NewDecoder(answer); ; {
			var e checkEvent
			if err := d.Decode(&e); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return err
			}
			p.print(e)
		}
		return p.end()
	}, nil
}

// checkPrinter prints a check: damages and the summary to standard output, how
// far it has come to standard error, on a terminal at once and else once a
// second at most.
type checkPrinter struct {
	out      io.Writer
	terminal bool
	told     time.Time
	shown    bool // a line of progress stands on the terminal

	sum   *checkSummary
	error string
	lines int // damages
}

func newCheckPrinter(out io.Writer) *checkPrinter {
	return &checkPrinter{out: out, terminal: term.IsTerminal(int(os.Stderr.Fd())), told: time.Now()}
}

func (p *checkPrinter) print(e checkEvent) {
	switch {
	case e.Progress != nil:
		p.progress(*e.Progress)
	case e.Damage != nil:
		p.lines++
		p.line(e.Damage.String())
	case e.Summary != nil:
		p.sum = e.Summary
	case e.Error != "":
		p.error = e.Error
	}
}

func (p *checkPrinter) progress(now storagelocal.Progress) {
	text := fmt.Sprintf("checking %s: %d", now.Stage, now.Done)
	if now.Stage == "log" {
		text = fmt.Sprintf("checking the log: %s of %s", octets(now.Done), octets(now.Total))
	}
	switch {
	case p.terminal:
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text)
		p.shown = true
	case time.Since(p.told) >= time.Second:
		fmt.Fprintln(os.Stderr, text)
		p.told = time.Now()
	}
}

// line prints a line in place of the progress.
func (p *checkPrinter) line(format string, args ...any) {
	if p.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		p.shown = false
	}
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	fmt.Fprintln(p.out, format)
}

// end prints how the check ended; its last line is "ok" or begins with "damaged".
func (p *checkPrinter) end() error {
	switch {
	case p.error != "":
		p.line("damaged: the check could not finish: %s", p.error)
		return errReported
	case p.sum == nil:
		p.line("damaged: the check did not finish")
		return errReported
	}
	p.line(p.sum.String())
	if p.sum.Damages > 0 {
		p.line("damaged: %d", p.sum.Damages)
		return errReported
	}
	p.line("ok")
	return nil
}

// octets is a number of octets that people can read.
func octets(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.95 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	return fmt.Sprintf("%.1f %cB", value, units[unit])
}
