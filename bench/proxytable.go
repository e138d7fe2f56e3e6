package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// proxyRow is a line of the table: a figure of each way. One that was not taken
// is missing.
type proxyRow struct {
	name, unit string
	figures    map[string]float64
	goals      []goal
}

const (
	microseconds = "µs"
	megabytes    = "MB/s"
)

// goal is what our figure is to reach.
type goal struct {
	times   float64  // so many times as good as the best of
	against []string // these; empty: atMost is the goal
	atMost  float64  // in the row's unit
	text    string   // of atMost; empty: itself
}

var (
	loginGoals = []goal{{times: 1.5, against: []string{nginx}}, {times: 2, against: []string{dovecot}}}
	bulkGoals  = []goal{{times: 0.95, against: []string{nginx, haproxy}}}
)

// ratio is how many times as good ours is as another's; 0: there is nothing to
// compare.
func (r *proxyRow) ratio(other string) float64 {
	a, b := r.figures[ours], r.figures[other]
	switch {
	case a <= 0 || b <= 0:
		return 0
	case r.unit == perSecond, r.unit == megabytes:
		return a / b
	}
	return b / a
}

// verdict says what the goal is and whether it was reached.
func (r *proxyRow) verdict(g goal) string {
	if len(g.against) == 0 {
		text := g.text
		if text == "" {
			text = fmt.Sprintf("<= %v %s", g.atMost, r.unit)
		}
		return text + " " + verdict(r.figures[ours] <= g.atMost)
	}
	least := 0.0
	for _, other := range g.against {
		if ratio := r.ratio(other); ratio > 0 && (least == 0 || ratio < least) {
			least = ratio
		}
	}
	text := fmt.Sprintf("%vx %s", g.times, strings.Join(g.against, "/"))
	if least == 0 {
		return text
	}
	return text + " " + verdict(least >= g.times)
}

func printProxy(out io.Writer, b *proxyBench) error {
	fmt.Fprintf(out, "\nmedians of %d rounds of %v, alternating; a login is: connect, log in, log out\n", b.rounds, b.round)
	fmt.Fprintln(out, "CPU and memory are those of all processes of a front end, memory resident; ours was started with GOMEMLIMIT=1MiB for the memory of sessions,")
	fmt.Fprintln(out, "so that its collector leaves no garbage. HAProxy passes TCP on and knows no logins; the answers that nginx asks for by HTTP cost it nothing here.")
	fmt.Fprintln(out, "vs: how many times as good ours is, more or less being better")
	fmt.Fprintln(out)
	peers := []string{nginx, dovecot, haproxy}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tunit\t%s\tvs %s\tgoals\t\n", strings.Join(wayNames, "\t"), strings.Join(peers, "\tvs "))
	for _, r := range b.rows {
		fmt.Fprintf(t, "%s\t%s\t", r.name, r.unit)
		for _, name := range wayNames {
			fmt.Fprintf(t, "%s\t", figure(r.figures[name]))
		}
		for _, name := range peers {
			text := "-"
			if ratio := r.ratio(name); ratio > 0 {
				text = fmt.Sprintf("%.2fx", ratio)
			}
			fmt.Fprintf(t, "%s\t", text)
		}
		var goals []string
		for _, g := range r.goals {
			goals = append(goals, r.verdict(g))
		}
		fmt.Fprintf(t, "%s\t\n", strings.Join(goals, "; "))
	}
	return t.Flush()
}

// medians has the median of each way's figures.
func medians(taken map[string][]float64) map[string]float64 {
	all := map[string]float64{}
	for name, f := range taken {
		slices.Sort(f)
		all[name] = f[len(f)/2]
	}
	return all
}
