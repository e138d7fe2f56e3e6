// Bench measures whole servers side by side, in one run on one machine. The
// rounds alternate between the servers; it prints medians and their ratios,
// for the machine's own figures mean little.
//
//	go run ./bench [-sessions 10] [-messages 2000] [-size 1024] [-rounds 3]
//
// lets SMTP sessions deliver messages to 200 mailboxes, durably: Posthouse's
// full node stands against Postfix that delivers by LMTP to Dovecot.
//
//	go run ./bench imap [-short] [-messages 10000] [-rounds 5] [-million 0] …
//
// works with mailboxes over IMAP: Posthouse's full node stands against
// Dovecot with sdbox.
//
//	go run ./bench proxy [-short] [-rounds 9] [-only text]
//
// leads IMAP and POP3 through front ends: Posthouse's stands against nginx's
// mail proxy, Dovecot's proxy and HAProxy, in logins, memory and transfers.
//
// Peers that are not installed are left out.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run, args := deliveries, os.Args[1:]
	if len(args) > 0 {
		if named := map[string]func(context.Context, []string, io.Writer) error{"imap": mailboxWork, "proxy": proxyWork}[args[0]]; named != nil {
			run, args = named, args[1:]
		}
	}
	if err := run(ctx, args, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// deliveries measures the way of a message from SMTP into a mailbox.
func deliveries(ctx context.Context, args []string, out io.Writer) error {
	var l load
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.IntVar(&l.sessions, "sessions", 10, "concurrent SMTP `sessions`")
	flags.IntVar(&l.messages, "messages", 2000, "`messages` in a round")
	flags.IntVar(&l.size, "size", 1024, "`octets` of a message")
	rounds := flags.Int("rounds", 3, "`rounds`, alternating between the servers")
	_ = flags.Parse(args)
	node, err := startNode(ctx, mailboxes, "smtp")
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
		fmt.Fprintln(out, "Postfix and Dovecot are not both installed (or this is not root): only Posthouse is measured")
	}
	figures := make([][]float64, len(targets))
	for range *rounds {
		for i, t := range targets {
			rate, err := t.deliver(ctx, l)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name(), err)
			}
			figures[i] = append(figures[i], rate)
		}
	}
	report(out, l, targets, figures)
	return nil
}

func report(out io.Writer, l load, targets []target, figures [][]float64) {
	fmt.Fprintf(out, "%d SMTP sessions, %d messages of %d octets a round, to %d mailboxes, durable; median of %d rounds\n",
		l.sessions, l.messages, l.size, mailboxes, len(figures[0]))
	for i, t := range targets {
		fmt.Fprintf(out, "%-40s %8.0f messages/s   %v\n", t.name(), median(figures[i]), rounded(figures[i]))
	}
	if len(targets) == 2 {
		fmt.Fprintf(out, "ratio %.1f (goal: 10)\n", median(figures[0])/median(figures[1]))
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
