// Bench measures whole servers side by side, in one run on one machine:
// a number of SMTP sessions deliver messages to 200 mailboxes, durably.
// Posthouse's full node stands against Postfix that delivers by LMTP to
// Dovecot, where both are installed. The rounds alternate; it prints medians
// and their ratio, for the machine's own figures mean little.
//
//	go run ./bench [-sessions 10] [-messages 2000] [-size 1024] [-rounds 3]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
)

const mailboxes = 200

// load is what every server has to bear.
type load struct {
	sessions, messages, size int
}

// target is a server under load.
type target interface {
	name() string
	// deliver sends the load and returns messages per second, from the first
	// connection until the last message is in its mailbox.
	deliver(ctx context.Context, l load) (float64, error)
	stop()
}

func main() {
	var l load
	flag.IntVar(&l.sessions, "sessions", 10, "concurrent SMTP `sessions`")
	flag.IntVar(&l.messages, "messages", 2000, "`messages` in a round")
	flag.IntVar(&l.size, "size", 1024, "`octets` of a message")
	rounds := flag.Int("rounds", 3, "`rounds`, alternating between the servers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, l, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, l load, rounds int) error {
	node, err := startNode(ctx)
	if err != nil {
		return err
	}
	defer node.stop()
	targets := []target{node}
	if installed("postfix", "dovecot") && os.Getuid() == 0 {
		peer, err := startPostfixDovecot(ctx)
		if err != nil {
			return err
		}
		defer peer.stop()
		targets = append(targets, peer)
	} else {
		fmt.Println("Postfix and Dovecot are not both installed (or this is not root): only Posthouse is measured")
	}
	figures := make([][]float64, len(targets))
	for range rounds {
		for i, t := range targets {
			rate, err := t.deliver(ctx, l)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name(), err)
			}
			figures[i] = append(figures[i], rate)
		}
	}
	report(l, targets, figures)
	return nil
}

func report(l load, targets []target, figures [][]float64) {
	fmt.Printf("%d SMTP sessions, %d messages of %d octets a round, to %d mailboxes, durable; median of %d rounds\n",
		l.sessions, l.messages, l.size, mailboxes, len(figures[0]))
	for i, t := range targets {
		fmt.Printf("%-40s %8.0f messages/s   %v\n", t.name(), median(figures[i]), rounded(figures[i]))
	}
	if len(targets) == 2 {
		fmt.Printf("ratio %.1f (goal: 10)\n", median(figures[0])/median(figures[1]))
	}
}

func median(f []float64) float64 {
	s := slices.Sorted(slices.Values(f))
	return s[len(s)/2]
}

func rounded(f []float64) []int {
	r := make([]int, len(f))
	for i, v := range f {
		r[i] = int(v)
	}
	return r
}

func installed(programs ...string) bool {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return false
		}
	}
	return true
}
