package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// allLogins measures logins at a back end, for each number of clients. Every
// account has been logged in to before: a back end may do then what it need
// not do again.
func (b *proxyBench) allLogins(ctx context.Context, to backEnds, ways []*way) error {
	if b.wants(b.loginNames(to.name)...) {
		for i := range b.accounts {
			if err := imapLogin.once(loopback(to.imap), userName(i), make([]byte, 4<<10)); err != nil {
				return err
			}
		}
	}
	for _, clients := range b.clients {
		if err := b.logins(ctx, imapLogin, to, ways, clients); err != nil {
			return err
		}
	}
	if to.pop3 == 0 {
		return nil
	}
	return b.logins(ctx, pop3Login, to, ways, 10)
}

// dialogue is what a client says, "%s" being its name, and how the last line of
// the answer begins. What comes first is a greeting.
type dialogue struct {
	protocol string
	address  func(w *way) string
	steps    [][2]string
}

var (
	imapLogin = dialogue{"IMAP", func(w *way) string { return w.imap }, [][2]string{
		{"", "* OK"}, {"a LOGIN %s " + password, "a OK"}, {"b LOGOUT", "b OK"}}}
	pop3Login = dialogue{"POP3", func(w *way) string { return w.pop3 }, [][2]string{
		{"", "+OK"}, {"USER %s", "+OK"}, {"PASS " + password, "+OK"}, {"QUIT", "+OK"}}}
)

// rowName names a row of logins.
func (d *dialogue) rowName(back string, clients int) string {
	return fmt.Sprintf("%s logins at %s, %d clients", d.protocol, back, clients)
}

// loginNames are those of all rows of a back end.
func (b *proxyBench) loginNames(back string) (names []string) {
	for _, clients := range b.clients {
		names = append(names, imapLogin.rowName(back, clients))
	}
	return names
}

// logins measures how many logins there are in a second, and what each costs
// a front end.
func (b *proxyBench) logins(ctx context.Context, d dialogue, to backEnds, ways []*way, clients int) error {
	name := d.rowName(to.name, clients)
	if !b.wants(name) {
		return nil
	}
	rate, cost := b.row(name, perSecond, loginGoals...), b.row(name+", CPU", microseconds)
	rates := map[string][]float64{}
	spent, total := map[string]time.Duration{}, map[string]int{}
	for round := -1; round < b.rounds; round++ { // the first does not count
		for _, w := range ways {
			if d.address(w) == "" {
				continue
			}
			before := w.cpu()
			began := time.Now()
			n, err := d.repeat(ctx, w, clients, b)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", name, w.name, err)
			}
			if round >= 0 {
				rates[w.name] = append(rates[w.name], float64(n)/time.Since(began).Seconds())
				time.Sleep(20 * time.Millisecond) // what follows a login is a part of its costs
				spent[w.name] += w.cpu() - before
				total[w.name] += n
			}
		}
	}
	rate.figures = medians(rates)
	for name, n := range total {
		cost.figures[name] = float64(spent[name].Microseconds()) / float64(n)
	}
	return nil
}

// cpu is what a front end has used so far.
func (w *way) cpu() time.Duration {
	if w.pid == 0 {
		return 0
	}
	return cpuTime(w.pid)
}

// repeat lets clients log in again and again for a round, and returns how
// often they did.
func (d *dialogue) repeat(ctx context.Context, w *way, clients int, b *proxyBench) (int, error) {
	group, ctx := errgroup.WithContext(ctx)
	var done atomic.Int64
	end := time.Now().Add(b.round)
	for i := range clients {
		group.Go(func() error {
			buf := make([]byte, 4<<10)
			for n := i; time.Now().Before(end) && ctx.Err() == nil; n += clients {
				if err := d.once(d.address(w), userName(n%b.accounts), buf); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return int(done.Load()), err
}

// once logs in and out.
func (d *dialogue) once(address, user string, buf []byte) error {
	nc, err := (&net.Dialer{KeepAlive: -1}).Dial("tcp", address)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	c := &imapConn{Conn: nc, buf: buf}
	for _, step := range d.steps {
		if step[0] != "" {
			if _, err := io.WriteString(nc, strings.Replace(step[0], "%s", user, 1)+"\r\n"); err != nil {
				return err
			}
		}
		if _, err := c.until(step[1]); err != nil {
			return err
		}
	}
	return nil
}
