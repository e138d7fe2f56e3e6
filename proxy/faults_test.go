package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

const (
	patience = 30 * time.Second // how long anything may take that must not take long
	alice    = "alice@example.test"
)

// TestFaultMatrixX05X06X08P37 puts a front end of each protocol before a back
// end with each fault. Whatever goes wrong behind a front end, the client gets
// the answer that is documented, within the budget, and never hears that his
// password is wrong, nor that something was done which was not. His session goes
// on, or ends where it had been handed over; nothing is left of the attempt; and
// the log blames who was at fault.
func TestFaultMatrixX05X06X08P37(t *testing.T) {
	before := goleak.IgnoreCurrent()
	table := make(map[string]string)
	var mu sync.Mutex
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			for _, d := range dialects {
				t.Run(d.name, func(t *testing.T) {
					t.Parallel()
					got := f.try(t, d)
					mu.Lock()
					defer mu.Unlock()
					table[f.name+"/"+d.name] = got
				})
			}
		})
	}
	t.Log("what clients got:\n" + draw(table))
	goleak.VerifyNone(t, before)
}

// draw writes the table, and below it why some cells don't apply.
func draw(table map[string]string) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "fault")
	for _, d := range dialects {
		fmt.Fprint(w, "\t", d.name)
	}
	notes := ""
	for _, f := range faults {
		fmt.Fprint(w, "\n", f.name)
		for _, d := range dialects {
			cell, ran := table[f.name+"/"+d.name]
			switch why, not := f.without[d.name]; {
			case not:
				cell = "-"
				notes += fmt.Sprintf("%s/%s does not apply: %s\n", f.name, d.name, why)
			case !ran:
				cell = "did not run"
			}
			fmt.Fprint(w, "\t", cell)
		}
	}
	w.Flush()
	return text.String() + "\n" + notes
}

// try plays one cell, and returns what the client got.
func (f *fault) try(t *testing.T, d *dialect) (got string) {
	if why, not := f.without[d.name]; not {
		t.Log("does not apply: " + why)
		return ""
	}
	for i := range f.variants {
		c := newCell(t, f, d, &f.variants[i])
		if d.logsIn() && f.late() {
			got = c.tryLate(t)
		} else {
			got = c.tryEarly(t)
		}
		c.nothingIsLeft(t)
	}
	return got
}

// cell is a front end before a broken back end and a good one.
type cell struct {
	*fault
	*variant
	d            *dialect
	broken, good *backend
	front        *proxy.Front
	serving      server
	address      string
	healed       atomic.Bool // everybody is led to the good one
	log          journal
}

func newCell(t *testing.T, f *fault, d *dialect, v *variant) *cell {
	c := &cell{fault: f, variant: v, d: d, broken: startBackend(t, d, f.at, v.act), good: startBackend(t, d, never, nil)}
	c.front = &proxy.Front{
		Mapper: mapping.MapperFunc(c.lead), Health: &proxy.Health{Logger: slog.New(slog.DiscardHandler)}, Sessions: &proxy.Sessions{},
		Logger: slog.New(slog.NewJSONHandler(&c.log, nil)),
		Backends: func(mapping.Route) proxy.Backend {
			b := v.backend
			b.Connect, b.Connections, b.Queue = c.budget(), 1, patience // a place that is not given back is missed
			if b.TLSConfig == nil {
				b.TLSConfig = testcert.Client()
			}
			return b
		},
	}
	conf := config{logger: c.front.Logger, budget: c.budget(), throttle: auth.NewThrottle(nil, auth.ThrottleOptions{UserFailures: 1, NetworkFailures: 1, Delay: time.Hour})}
	if v.auth != nil {
		conf.auth, conf.throttle = auth.AuthenticatorFunc(c.check), nil
	}
	c.serving = d.serve(c.front, conf)
	c.address = serve(t, c.serving)
	return c
}

// serve runs a front end until the test ends, and returns its address.
func serve(t *testing.T, s server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// lead is the map.
func (c *cell) lead(context.Context, string) (mapping.Route, error) {
	switch {
	case c.healed.Load():
		return c.good.route, nil
	case c.variant.lead != nil:
		return c.variant.lead(c.broken.route)
	}
	to := c.broken.route
	if c.backend.TLS != mapping.TLSDefault {
		to.TLS = c.backend.TLS
	}
	return to, nil
}

// check is the Authenticator of a front end that has one.
func (c *cell) check(_ context.Context, creds auth.Credentials) (auth.Identity, error) {
	if !c.healed.Load() {
		return auth.Identity{}, c.auth
	}
	return auth.Identity{User: creds.User}, nil
}

// tryEarly is for faults that come before the client is let in, or while his
// message is sent on: he is refused for now, and comes again.
func (c *cell) tryEarly(t *testing.T) string {
	client := dial(t, c.d, c.address)
	began := time.Now()
	got := client.attempt(t, alice)
	require.Less(t, time.Since(began), c.budget()+patience/2, "the budget")
	refusal := c.d.refusal
	if c.refusal != nil {
		refusal = c.refusal(c.d)
	}
	require.Regexp(t, refusal, got)
	require.Regexp(t, c.d.ping.until, client.next(t, c.d.ping.say), "nothing follows the answer")
	require.Eventually(t, func() bool { return len(c.seats()) == 0 }, patience, time.Millisecond, "no seat is kept")
	c.blames(t)
	if c.at < login {
		for _, secret := range []string{password, plain(alice), alice} {
			require.NotContains(t, c.broken.all(), secret)
		}
	}
	c.healed.Store(true)
	require.Regexp(t, c.d.good, client.attempt(t, alice), "the same session goes on: %s", &c.log)
	client.Close()
	client.neverHeardOfAPassword(t)
	return short(got)
}

// tryLate is for faults that come after the client was let in: his connection
// ends as the back end's does.
func (c *cell) tryLate(t *testing.T) string {
	client := dial(t, c.d, c.address)
	require.Regexp(t, c.d.good, client.attempt(t, alice))
	upTo := client.heard.Len()
	switch c.at {
	case downloading:
		client.do(t, *c.d.download)
	case uploading, uploaded:
		client.do(t, *c.d.upload)
		upTo = client.heard.Len()
		_, _ = io.WriteString(client, script+"\r\n")
	case idling:
		client.do(t, *c.d.idle)
		upTo = client.heard.Len()
	}
	began := time.Now()
	_, _ = io.Copy(&client.heard, client.in) // up to the end, however it comes
	require.Less(t, time.Since(began), patience/2, "the end is passed on at once")
	rest := client.heard.String()[upTo:]
	require.NotRegexp(t, c.d.success, rest)
	said := c.broken.sinceLogin()
	require.Contains(t, said, rest, "the client gets what the back end says")
	if c.at == downloading && !c.loses {
		require.Equal(t, said, rest)
	}
	client.Close()
	require.Eventually(t, func() bool { return len(c.seats()) == 0 }, patience, time.Millisecond, "no seat is kept")
	require.Eventually(t, func() bool { return c.log.has(c.endedBy) }, patience, time.Millisecond, "%s", &c.log)
	client.neverHeardOfAPassword(t)

	c.healed.Store(true)
	again := dial(t, c.d, c.address)
	require.Regexp(t, c.d.good, again.attempt(t, alice), "others go on: %s", &c.log)
	again.Close()
	return "closed"
}

// blames looks for the line in the log that tells who was at fault.
func (c *cell) blames(t *testing.T) {
	t.Helper()
	blame := c.broken.route.Host + ":" + fmt.Sprint(c.broken.route.Port)
	if c.blame != "" {
		blame = c.blame
	}
	warnings, found := 0, 0
	for _, e := range c.log.entries() {
		if e.warns() {
			require.Contains(t, e.text, blame, "whom it blames")
			warnings++
		}
		if strings.Contains(e.text, blame) {
			found++
		}
	}
	require.Positive(t, found, "lines that name %s in %s", blame, &c.log)
	if c.d.logsIn() || c.blame == "" {
		require.Equal(t, 1, warnings, "%s", &c.log)
	}
	require.NotRegexp(t, `(?i)(authentication|login) failed`, c.log.String())
}

// endedBy fits the line that tells who has ended a session.
func (c *cell) endedBy(e entry) bool {
	return strings.Contains(e.text, `"session ended"`) && strings.Contains(e.text, `"by":"back end"`) && strings.Contains(e.text, c.broken.route.String())
}

// nothingIsLeft waits until the front end has closed all its connections to
// back ends, and all sessions have ended.
func (c *cell) nothingIsLeft(t *testing.T) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.broken.sessions.Wait()
		c.good.sessions.Wait()
	}()
	select {
	case <-closed:
	case <-time.After(patience / 2):
		require.Fail(t, "a connection to a back end is left open")
	}
	require.Eventually(t, func() bool { return len(c.seats()) == 0 }, patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, c.serving.Shutdown(ctx), "a session is left")
}

func (c *cell) seats() (all []proxy.Session) {
	for s := range c.front.Sessions.List() {
		all = append(all, s)
	}
	return all
}

// client is a client that has been greeted.
type client struct {
	net.Conn
	d     *dialect
	in    *bufio.Reader
	heard bytes.Buffer
}

func dial(t *testing.T, d *dialect, address string) *client {
	t.Helper()
	c, err := connect(d, address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func connect(d *dialect, address string) (*client, error) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{Conn: nc, d: d, in: bufio.NewReader(nc)}
	_ = nc.SetDeadline(time.Now().Add(2 * patience))
	for _, e := range d.hello {
		if _, err := c.try(e); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
	}
	return c, nil
}

// try says something and reads up to the line that ends the answer, which it
// returns.
func (c *client) try(e exchange) (string, error) {
	if e.say != "" {
		if _, err := io.WriteString(c, e.say+"\r\n"); err != nil {
			return "", err
		}
	}
	ends := regexp.MustCompile(e.until)
	for e.until != "" {
		line, err := c.in.ReadString('\n')
		c.heard.WriteString(line)
		if err != nil {
			return "", fmt.Errorf("%w after %q", err, c.heard.String())
		}
		if line = strings.TrimSuffix(line, "\r\n"); ends.MatchString(line) {
			return line, nil
		}
	}
	return "", nil
}

// do is try that must end with an answer.
func (c *client) do(t *testing.T, e exchange) string {
	t.Helper()
	line, err := c.try(e)
	require.NoError(t, err)
	return line
}

// next says something and returns the next line.
func (c *client) next(t *testing.T, say string) string {
	t.Helper()
	return c.do(t, exchange{say, "^"})
}

// attempt logs somebody in, or sends him a message. It returns the first answer
// that is not good, or the last one.
func (c *client) attempt(t *testing.T, user string) string {
	t.Helper()
	got, err := c.tryAs(user)
	require.NoError(t, err)
	return got
}

func (c *client) tryAs(user string) (got string, err error) {
	good := regexp.MustCompile(c.d.good)
	for _, e := range c.d.attempt(user) {
		if got, err = c.try(e); err != nil || !good.MatchString(got) {
			break
		}
	}
	return got, err
}

// neverHeardOfAPassword is in no form: a user who is told so types another one,
// and a client asks for one.
func (c *client) neverHeardOfAPassword(t *testing.T) {
	t.Helper()
	require.NotRegexp(t, `(?im)AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|\[AUTH\]|^535|^NO "|authentication failed|credentials|password`, c.heard.String())
}

// short is what stands in the table: status and code.
func short(line string) string {
	return regexp.MustCompile(`^(a NO \S+|-ERR \S+|NO \S+|\d{3} \S+|\S+)`).FindString(line)
}

// journal is a log of several goroutines, in JSON.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// entry is one of its lines.
type entry struct {
	Level slog.Level `json:"level"`
	text  string
}

func (e entry) warns() bool { return e.Level >= slog.LevelWarn }

func (j *journal) entries() (all []entry) {
	for line := range strings.Lines(j.String()) {
		e := entry{text: line}
		_ = json.Unmarshal([]byte(line), &e)
		all = append(all, e)
	}
	return all
}

func (j *journal) has(f func(entry) bool) bool {
	for _, e := range j.entries() {
		if f(e) {
			return true
		}
	}
	return false
}
