package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/smtp"
)

// mailbox is a mail server that takes everything, but for what says.
type mailbox struct {
	port int
	says func(r *mail.Recipient) error // nil: welcome

	mu  sync.Mutex
	got []string // recipients and the subject, of each message
}

// open listens, from now on until the test ends.
func (m *mailbox) open(t *testing.T, p smtp.Protocol) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", m.port))
	require.NoError(t, err)
	s := &smtp.Server{
		Protocol: p, Handler: smtp.HandlerFunc(m.take),
		Hooks: []smtp.Hooks{{Rcpt: func(_ context.Context, _ *smtp.Session, _ *mail.Envelope, r *mail.Recipient) error {
			if m.says == nil {
				return nil
			}
			return m.says(r)
		}}},
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(context.WithoutCancel(t.Context()), l) }()
	t.Cleanup(func() { _ = s.Close(); <-served })
}

func (m *mailbox) take(_ context.Context, message *smtp.Message) error {
	text, err := io.ReadAll(io.NewSectionReader(message.Body, 0, message.Body.Size()))
	if err != nil {
		return err
	}
	line := ""
	for _, r := range message.Envelope.Recipients {
		line += r.To.String() + " "
	}
	for header := range strings.Lines(string(text)) {
		if strings.HasPrefix(header, "Subject: ") {
			line += strings.TrimSpace(header)
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, line)
	return nil
}

func (m *mailbox) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.got...)
}

// arrives waits for messages.
func (m *mailbox) arrives(t *testing.T, lines ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(m.all()) >= len(lines) }, 2*waitLong, waitTick)
	require.Equal(t, lines, m.all())
}

// notYetThere is a mail server that nobody has started.
func notYetThere(t *testing.T) *mailbox {
	t.Helper()
	port, err := realtest.FreePort()
	require.NoError(t, err)
	return &mailbox{port: port}
}

func (m *mailbox) route() string { return fmt.Sprintf("127.0.0.1:%d,tls=none", m.port) }

// queueing is a configuration of SMTP with a queue.
func queueing(state, users, more string) string {
	return fmt.Sprintf(`drain = "2s"
state = %q
hostname = "front.example.test"
control = "127.0.0.1:0"
domains = ["example.test"]
[queue]
retry = ["100ms"]
%s
[map.users]
sources = [%s]
[[service]]
protocol = "smtp"
map = "users"
listen = ["127.0.0.1:0"]
queue = "main"
`, state, more, users)
}

func request(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

// sends plays a client that sends a message, and hears in the end what a
// pattern says.
func sends(t *testing.T, address, subject, ends string, recipients ...string) {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	require.NoError(t, err)
	text := "S~ 220 .*\nC: HELO client.test\nS~ 250 .*\nC: MAIL FROM:<sender@far.test>\nS~ 250 .*\n"
	for _, r := range recipients {
		text += "C: RCPT TO:<" + r + ">\nS~ 250 .*\n"
	}
	dialogue.Play(t, nc, t.Name(), text+"C: DATA\nS~ 354 .*\nC: Subject: "+subject+"\nC: \nC: x\nC: .\nS~ "+ends+"\nC: QUIT\nS~ 221 .*\n")
}

// TestMailForABackEndThatIsDownIsAcceptedAndArrivesOnce although the front end
// is started anew in between.
func TestMailForABackEndThatIsDownIsAcceptedAndArrivesOnce(t *testing.T) {
	up, down, state := notYetThere(t), notYetThere(t), t.TempDir()
	up.open(t, smtp.LMTP)
	users := fmt.Sprintf("\"file:%s\"", writeFile(t, "users.map", "alice@example.test "+up.route()+"\nbob@example.test "+down.route()+"\n"))
	f := startWith(t, queueing(state, users, ""))
	sends(t, f.address("SMTP", 0), "both", "250 .*", "alice@example.test", "bob@example.test")
	require.Equal(t, []string{"alice@example.test Subject: both"}, up.all(), "whose back end is there has it at once")
	sends(t, f.address("SMTP", 0), "one", "250 .*", "bob@example.test")
	control := "http://" + f.address("control", 0)
	status, waiting := request(t, http.MethodGet, control+"/queue/main")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 2, strings.Count(waiting, `"to":"bob@example.test"`), waiting)
	require.Contains(t, waiting, `"last_reply":"451 4.4.1`)
	status, _ = request(t, http.MethodPost, control+"/queue/main/retry")
	require.Equal(t, http.StatusOK, status)
	status, _ = request(t, http.MethodGet, control+"/queue/other")
	require.Equal(t, http.StatusNotFound, status)
	f.stop()
	require.Empty(t, down.all())

	f = startWith(t, queueing(state, users, ""))
	down.open(t, smtp.LMTP)
	require.Eventually(t, func() bool { return len(down.all()) == 2 }, 2*waitLong, waitTick)
	sends(t, f.address("SMTP", 0), "later", "250 .*", "bob@example.test")
	f.stop()
	require.ElementsMatch(t, []string{"bob@example.test Subject: both", "bob@example.test Subject: one", "bob@example.test Subject: later"}, down.all())
	require.Equal(t, []string{"alice@example.test Subject: both"}, up.all())
}

func TestP45AQueueTakesNoMailForWhoIsNotMapped(t *testing.T) {
	port, err := realtest.FreePort()
	require.NoError(t, err)
	file := fmt.Sprintf("\"file:%s\"", writeFile(t, "users.map", "alice@example.test 127.0.0.1\n"))
	directory := fmt.Sprintf("[ldap.gone]\nuris = [\"ldap://127.0.0.1:%d\"]\nbase = \"dc=x\"\n", port)
	known := startWith(t, queueing(t.TempDir(), file, ""))
	unknown := startWith(t, queueing(t.TempDir(), file+", \"ldap:gone\"", directory))
	for answer, f := range map[string]*testFrontEnd{"550 5.1.1 .*": known, "451 4.4.3 .*": unknown} {
		nc, err := net.Dial("tcp", f.address("SMTP", 0))
		require.NoError(t, err)
		dialogue.Play(t, nc, answer, "S~ 220 .*\nC: HELO client.test\nS~ 250 .*\nC: MAIL FROM:<sender@far.test>\nS~ 250 .*\n"+
			"C: RCPT TO:<alice@example.test>\nS~ 250 .*\nC: RCPT TO:<nobody@example.test>\nS~ "+answer+"\n"+
			"C: RCPT TO:<bob@elsewhere.test>\nS~ 550 5.7.1 .*\nC: QUIT\nS~ 221 .*\n")
	}
}

// TestTheSenderIsToldOfWhatABackEndRefusesAfterAll by way of the smart host.
func TestTheSenderIsToldOfWhatABackEndRefusesAfterAll(t *testing.T) {
	down, onward := notYetThere(t), notYetThere(t)
	down.says = func(*mail.Recipient) error { return mail.Errorf(550, [3]int{5, 2, 1}, "Gone") }
	onward.open(t, smtp.ESMTP)
	users := fmt.Sprintf("\"file:%s\"", writeFile(t, "users.map", "bob@example.test "+down.route()+"\n"))
	f := startWith(t, queueing(t.TempDir(), users, fmt.Sprintf("smart_host = \"127.0.0.1:%d\"", onward.port)))
	sends(t, f.address("SMTP", 0), "one", "250 .*", "bob@example.test")
	down.open(t, smtp.LMTP)
	onward.arrives(t, "sender@far.test Subject: Undelivered mail returned to sender")
	require.Empty(t, down.all())
	sends(t, f.address("SMTP", 0), "two", "550 5.2.1 Gone", "bob@example.test")
}

func TestAQueueIsOfOneProcess(t *testing.T) {
	state := t.TempDir()
	users := fmt.Sprintf("\"file:%s\"", writeFile(t, "users.map", "bob@example.test 127.0.0.1\n"))
	startWith(t, queueing(state, users, ""))
	err := run(t.Context(), []string{"-config", writeFile(t, "c.toml", queueing(state, users, ""))}, io.Discard)
	require.ErrorContains(t, err, "the data directory is in use: "+filepath.Join(state, "queue", "main"))
}

func TestAQueueThatCouldLoseMailIsRefused(t *testing.T) {
	good := queueing(t.TempDir(), "\"static:x.test\"", "")
	_, err := loadConfig(writeFile(t, "c.toml", good), "")
	require.NoError(t, err)
	for says, change := range map[string][2]string{
		"needs domains":         {"domains = [\"example.test\"]\n", ""},
		"needs state":           {"state = ", "state = \"" + defaultState() + "\" #"},
		"queue is for smtp":     {"protocol = \"smtp\"", "protocol = \"lmtp\""},
		"not the name":          {"queue = \"main\"", "queue = \"../main\""},
		"does not pass":         {"retry = [\"100ms\"]", "retry = [\"0s\"]"},
		"smart_host":            {"retry = [\"100ms\"]", "smart_host = \"mail\""},
		"before it begins":      {"retry = [\"100ms\"]", "lifetime = \"-1s\""},
		"two services have the": {"[[service]]", "[[service]]\nprotocol = \"smtp\"\nmap = \"users\"\nlisten = [\"127.0.0.1:0\"]\nqueue = \"main\"\n[[service]]"},
	} {
		_, err := loadConfig(writeFile(t, "c.toml", strings.Replace(good, change[0], change[1], 1)), "")
		require.ErrorContains(t, err, says)
	}
}
