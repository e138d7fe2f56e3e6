package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	queuelocal "github.com/posthouse-mail/posthouse/queue/local"
	storagelocal "github.com/posthouse-mail/posthouse/storage/local"
)

// nodeStats is what is stored where.
type nodeStats struct {
	Store   storagelocal.Stats `json:"store"`
	Sharing float64            `json:"sharing"` // octets of messages for each octet of a body
	Dead    float64            `json:"dead"`    // share of the log
	Queue   queuelocal.Stats   `json:"queue"`
}

// maxTop bounds how many accounts are listed.
const maxTop = 10_000

func (c *control) stats(w http.ResponseWriter, r *http.Request) error {
	top, err := strconv.Atoi(r.URL.Query().Get("top"))
	if err != nil || top < 0 || top > maxTop {
		return fmt.Errorf("%w: top is 0 to %d", errBadRequest, maxTop)
	}
	var s nodeStats
	if s.Store, err = c.open.store.Stats(r.Context(), top); err != nil {
		return err
	}
	if s.Queue, err = c.open.queue.Stats(r.Context()); err != nil {
		return err
	}
	s.Sharing, s.Dead = s.Store.Sharing(), s.Store.Dead()
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

// printStats prints what the node answers, for people or as it is.
func (c *command) printStats(args []string) (func(ctx context.Context) error, error) {
	flags := flag.NewFlagSet("stats", flag.ContinueOnError)
	plain := flags.Bool("json", false, "print JSON")
	top := flags.Int("top", 10, "how many of the largest accounts are listed")
	if err := flags.Parse(args); err != nil {
		return nil, errReported // the flag set has printed it
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("stats: unknown word %q", flags.Arg(0))
	}
	path := fmt.Sprintf("/stats?top=%d", *top)
	if *plain {
		return c.simple(http.MethodGet, path), nil
	}
	return func(ctx context.Context) error {
		answer, err := c.call(ctx, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		defer answer.Close()
		var s nodeStats
		if err := json.NewDecoder(answer).Decode(&s); err != nil {
			return err
		}
		return s.write(c.out)
	}, nil
}

// write prints tables.
func (s *nodeStats) write(out io.Writer) error {
	st, q := &s.Store, &s.Queue
	figures := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, f := range [...]struct{ name, value string }{
		{"accounts", fmt.Sprint(st.Accounts)},
		{"mailboxes", fmt.Sprint(st.Mailboxes)},
		{"messages", fmt.Sprintf("%d of %s", st.Messages, octets(st.Octets))},
		{"retained messages", fmt.Sprint(st.Retained)},
		{"bodies", fmt.Sprintf("%d of %s", st.Bodies, octets(st.Live))},
		{"sharing", fmt.Sprintf("%.2f octets of messages for each of a body", s.Sharing)},
		{"log", fmt.Sprintf("%s, %.0f %% dead", octets(st.Log), 100*s.Dead)},
		{"index", octets(st.Index)},
		{"index of words", octets(st.Words)},
		{"queue", fmt.Sprintf("%d messages of %s, %d recipients, %d destinations, %d claimed", q.Messages, octets(q.Octets), q.Recipients, q.Destinations, q.Claims)},
		{"oldest in the queue", sinceThen(q.Oldest)},
	} {
		fmt.Fprintf(figures, "%s\t%s\n", f.name, f.value)
	}
	for _, name := range slices.Sorted(maps.Keys(st.Memory)) {
		fmt.Fprintf(figures, "memory: %s\t%s\n", name, octets(st.Memory[name]))
	}
	if err := figures.Flush(); err != nil {
		return err
	}
	tables := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tables, "\nLOCATION\tSEGMENTS\tUSED\tFREE\tLIMIT\tREAD-ONLY")
	for _, l := range st.Places {
		fmt.Fprintf(tables, "%s\t%d\t%s\t%s\t%s\t%t\n", l.Path, l.Segments, octets(l.Used), known(l.Free, -1), known(l.Limit, 0), l.ReadOnly)
	}
	fmt.Fprintln(tables, "\nSEGMENT\tSIZE\tLIVE\tDEAD\tBODIES\tLOCATION")
	for _, g := range st.Segments {
		fmt.Fprintf(tables, "%d\t%s\t%s\t%s\t%d\t%s\n", g.Segment, octets(g.Size), octets(g.Live), octets(g.Dead), g.Bodies, g.Location)
	}
	fmt.Fprintln(tables, "\nACCOUNT\tMAILBOXES\tMESSAGES\tSIZE")
	for _, a := range st.Largest {
		fmt.Fprintf(tables, "%s\t%d\t%d\t%s\n", a.User, a.Mailboxes, a.Messages, octets(a.Octets))
	}
	return tables.Flush()
}

// known is octets, or "-" for the number that stands for none.
func known(n, none int64) string {
	if n == none {
		return "-"
	}
	return octets(n)
}

func sinceThen(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String()
}
