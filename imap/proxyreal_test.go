package imap

import (
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
	"github.com/posthouse-mail/posthouse/internal/testcert"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

// beforeServer puts a proxy before a Server of this package, with STARTTLS
// between them.
func beforeServer(t *testing.T) (s *Server, addr string) {
	s, back := newServer(t, func(s *Server) { s.PlainAuth = nil })
	route := routeTo(back)
	route.TLS = mapping.TLSStart
	return s, newProxy(t, frontTo(route), nil)
}

func TestAClientWorksThroughTheProxyAsWithTheServer(t *testing.T) {
	s, addr := beforeServer(t)
	deliver(t, s.Store, plainMessage)
	arrived := make(chan uint32, 10)
	c := peer(t, addr, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				arrived <- *d.NumMessages
			}
		},
	}})
	require.True(t, c.Caps().Has(imap.CapQResync), "what the back end can do")
	_, err := c.Select("INBOX", nil).Wait()
	require.NoError(t, err)
	body := make([]byte, 1<<20)
	_, _ = rand.Read(body)
	upload := c.Append("INBOX", int64(len(body)), nil)
	_, err = upload.Write(body)
	require.NoError(t, err)
	require.NoError(t, upload.Close())
	_, err = upload.Wait()
	require.NoError(t, err)
	section := &imap.FetchItemBodySection{Peek: true}
	messages, err := c.Fetch(imap.SeqSetNum(2), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	require.NoError(t, err)
	require.Equal(t, body, messages[0].FindBodySection(section))
	idle, err := c.Idle()
	require.NoError(t, err)
	for len(arrived) > 0 {
		<-arrived
	}
	deliver(t, s.Store, plainMessage)
	require.EqualValues(t, 3, <-arrived)
	require.NoError(t, idle.Close())
	require.NoError(t, idle.Wait())
	require.NoError(t, c.Logout().Wait())
}

func TestP31CompressionIsBetweenTheClientAndTheBackEnd(t *testing.T) {
	s, addr := beforeServer(t)
	deliver(t, s.Store, strings.Repeat("A line of text that can be compressed.\r\n", 1000))
	c := login(t, addr)
	c.compress()
	c.ok("SELECT INBOX")
	require.Contains(t, c.ok("FETCH 1 BODY[]"), "compressed.\r\nA line")
}

func TestP15AWrongPasswordAtARealBackEnd(t *testing.T) {
	_, addr := beforeServer(t)
	c := dial(t, addr)
	c.fails("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED] Authentication failed")
	c.fails("LOGIN broken x", unavailable)
	c.ok("LOGIN alice secret")
}

// TestX05ABackEndThatIsKilledWhileAClientWaits closes the server in IDLE.
func TestX05ABackEndThatIsKilledWhileAClientWaits(t *testing.T) {
	s, addr := beforeServer(t)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	c.send("a IDLE\r\n")
	require.Equal(t, "+ idling", c.line())
	require.NoError(t, s.Close())
	rest, _ := io.ReadAll(c.in)
	require.Empty(t, rest)
	dial(t, addr).fails("LOGIN alice secret", unavailable)
}

// beforeDovecot puts a proxy before Dovecot.
func beforeDovecot(t *testing.T) (addr string) {
	realtest.Require(t, "dovecot")
	realtest.RequireRoot(t)
	d, err := realtest.StartDovecot(t.Context(), 2)
	require.NoError(t, err)
	t.Cleanup(d.Stop)
	f := frontTo(routeTo("127.0.0.1:" + strconv.Itoa(d.IMAP)))
	return newProxy(t, withBackend(f, proxy.Backend{Tell: proxy.TellID, TLSConfig: testcert.Client()}), func(p *Proxy) { p.Pass = PassID })
}

func TestDovecotServesClientsThroughTheProxy(t *testing.T) {
	addr := beforeDovecot(t)
	c := dial(t, addr)
	c.ok(`ID ("name" "test")`)
	c.fails("LOGIN user0 wrong", "NO [AUTHENTICATIONFAILED] Authentication failed")
	c.send("a LOGIN user0 pw\r\nb APPEND INBOX {11+}\r\nSubject: x\n\r\nc SELECT INBOX\r\nd FETCH 1 RFC822.SIZE\r\n")
	_, answer := c.until("a")
	require.Contains(t, answer, "OK [CAPABILITY IMAP4rev1")
	require.Contains(t, answer, "QRESYNC")
	_, answer = c.until("b")
	require.Contains(t, answer, "OK [APPENDUID")
	_, answer = c.until("c")
	require.Contains(t, answer, "OK")
	fetched, _ := c.until("d")
	require.Contains(t, fetched, "* 1 FETCH (RFC822.SIZE")

	t.Run("curl", func(t *testing.T) { curlThrough(t, addr) })
	t.Run("mbsync", func(t *testing.T) { mbsyncThrough(t, addr) })
}

func curlThrough(t *testing.T, addr string) {
	realtest.Require(t, "curl")
	message := filepath.Join(t.TempDir(), "message")
	require.NoError(t, os.WriteFile(message, []byte("Subject: by curl\r\n\r\nbody\r\n"), 0o600))
	curl := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("curl", append([]string{"-sSk", "--max-time", "30", "--user", "user1:pw"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	for _, option := range []string{"AUTH=PLAIN", "AUTH=LOGIN", "AUTH=*"} {
		require.Contains(t, curl("--ssl-reqd", "--login-options", option, "imap://"+addr+"/"), "INBOX")
	}
	curl("-T", message, "imap://"+addr+"/INBOX")
	require.Equal(t, "Subject: by curl\r\n\r\nbody\r\n", curl("imap://"+addr+"/INBOX;MAILINDEX=1"))
}

func mbsyncThrough(t *testing.T, addr string) {
	realtest.Require(t, "mbsync")
	dir := t.TempDir()
	_, port, _ := strings.Cut(addr, ":")
	rc := strings.Join([]string{"IMAPStore far", "Host 127.0.0.1", "Port " + port, "User user1", "Pass pw", "SSLType None", "AuthMechs LOGIN", "",
		"MaildirStore near", "Path " + dir + "/mail/", "Inbox " + dir + "/mail/INBOX", "SubFolders Verbatim", "",
		"Channel all", "Far :far:", "Near :near:", "Patterns INBOX", "Create Both", "SyncState *", ""}, "\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rc"), []byte(rc), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "mail"), 0o700))
	out, err := exec.Command("mbsync", "-c", filepath.Join(dir, "rc"), "-a").CombinedOutput()
	require.NoError(t, err, "%s", out)
	found, err := filepath.Glob(dir + "/mail/INBOX/*/*")
	require.NoError(t, err)
	text := ""
	for _, path := range found {
		if b, err := os.ReadFile(path); err == nil {
			text += string(b)
		}
	}
	require.Contains(t, text, "by curl")
}
