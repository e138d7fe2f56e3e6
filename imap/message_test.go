package imap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// nasty are messages that have broken servers.
func nasty() map[string]string {
	return map[string]string{
		"M01NestedMultiparts":   nestedMultiparts(3000),
		"M01NestedMessages":     strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 3000) + "end\r\n",
		"M16EightBitHeader":     "From: J\xf6rg <j@example.test>\r\nTo: \u65e5\u672c <b@example.test>\r\nSubject: gr\xfc\xdfe \"x\\y\"\r\nContent-Type: text/plain; name=\"\xe4\"\r\n\r\nx\r\n",
		"M17LoneLineEndings":    "Subject: a\r\n\r\nlone\rcr, lone\nlf, nul\x00, end",
		"M17NulInTheHeader":     "Subject: a\x00b\r\nFrom: \x00@\x00\r\n\r\nx",
		"I7MultipartWithoutAny": "Content-Type: multipart/mixed; boundary=x\r\n\r\nno part here\r\n",
		"I7MultipartNoBoundary": "Content-Type: multipart/mixed\r\n\r\nno part here\r\n",
		"I9BrokenHeaderLine":    ">From somebody\r\nSubject: still here\r\nno colon\r\n\r\nbody\r\n",
		"I26BrokenAddresses":    "From: a@example.test, <<broken, \"open quote\r\nTo: group: x@example.test, (((;, y@example.test\r\nDate: yesterday\r\n\r\n.\r\n",
		"Empty":                 "\r\n",
		"OnlyHeader":            "Subject: only",
		"OnlyLineFeeds":         "Subject: lf\n\nbody\nmore\n",
		"NoHeader":              "\r\njust text\r\n",
	}
}

func nestedMultiparts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("Content-Type: text/plain\r\n\r\nend\r\n")
	return b.String()
}

// TestNastyMessagesAreServedWhole appends each message and fetches it with a
// client that is strict about grammar: the octets come back as they went in.
func TestNastyMessagesAreServedWhole(t *testing.T) {
	_, addr := newServer(t, nil)
	c := peer(t, addr, nil)
	_, err := c.Select("INBOX", nil).Wait()
	require.NoError(t, err)
	for name, text := range nasty() {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			a := c.Append("INBOX", int64(len(text)), nil)
			_, err := io.WriteString(a, text)
			require.NoError(t, err)
			require.NoError(t, a.Close())
			data, err := a.Wait()
			require.NoError(t, err)
			whole, header := &imap.FetchItemBodySection{Peek: true}, &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierHeader}
			rest := &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierText}
			msgs, err := c.Fetch(imap.UIDSetNum(data.UID), &imap.FetchOptions{
				RFC822Size: true, Envelope: true, BodySection: []*imap.FetchItemBodySection{whole, header, rest},
			}).Collect()
			require.NoError(t, err)
			require.Len(t, msgs, 1)
			require.EqualValues(t, len(text), msgs[0].RFC822Size)
			require.Equal(t, text, string(msgs[0].FindBodySection(whole)))
			require.Equal(t, text, string(msgs[0].FindBodySection(header))+string(msgs[0].FindBodySection(rest)))
			_, err = c.UIDSearch(&imap.SearchCriteria{Text: []string{"nowhere to be found"}}, nil).Wait()
			require.NoError(t, err)
			require.Less(t, time.Since(began), 5*time.Second)
		})
	}
}

// TestNastyStructuresAreWellFormed reads BODYSTRUCTURE, BODY and ENVELOPE of
// each message as nested lists.
func TestNastyStructuresAreWellFormed(t *testing.T) {
	s, addr := newServer(t, nil)
	n := 0
	c := login(t, addr)
	c.ok("SELECT INBOX")
	for name, text := range nasty() {
		deliver(t, s.Store, text)
		n++
		untagged := c.ok(fmt.Sprintf("UID FETCH %d (ENVELOPE BODYSTRUCTURE BODY)", n))
		_, list, found := strings.Cut(untagged, " FETCH ")
		require.True(t, found, untagged)
		rest := wellFormed(t, name, list)
		require.True(t, strings.HasPrefix(rest, "\r\n"), "%s: %q", name, rest)
	}
}

// TestBodyStructureOfShallowMessagesSuitsAStrictClient has imapclient read
// the structures that it can: it gives up beyond some depth.
func TestBodyStructureOfShallowMessagesSuitsAStrictClient(t *testing.T) {
	s, addr := newServer(t, nil)
	for name, text := range nasty() {
		if !strings.HasPrefix(name, "M01") {
			deliver(t, s.Store, text)
		}
	}
	c, err := imapclient.DialInsecure(addr, nil)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Login("alice", "secret").Wait())
	_, err = c.Select("INBOX", nil).Wait()
	require.NoError(t, err)
	msgs, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{
		Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
	}).Collect()
	require.NoError(t, err)
	require.Len(t, msgs, len(nasty())-2)
	for _, m := range msgs {
		require.NotNil(t, m.BodyStructure)
	}
}

// wellFormed takes one value of IMAP's grammar off the front of s.
func wellFormed(t *testing.T, name, s string) (rest string) {
	t.Helper()
	depth := 0
	for {
		require.NotEmpty(t, s, name)
		switch s[0] {
		case '(':
			depth++
			s = s[1:]
		case ')':
			depth--
			require.GreaterOrEqual(t, depth, 0)
			s = s[1:]
		case ' ':
			s = s[1:]
		case '"':
			p := &parser{buf: []byte(s), pos: 1}
			p.quoted()
			require.NoError(t, p.err, name)
			s = s[p.pos:]
		case '{':
			line, after, found := strings.Cut(s, "\r\n")
			require.True(t, found)
			l, ok := announcement([]byte(line))
			require.True(t, ok, "%s: %q", name, line)
			s = after[l.size:]
		default:
			p := &parser{buf: []byte(s)}
			p.run(atomChar | astringOK)
			require.NoError(t, p.err, "%s: %.50q", name, s)
			s = s[p.pos:]
		}
		if depth == 0 {
			return s
		}
	}
}

// torn is a store whose bodies end earlier than their index says, or can't be
// opened at all.
type torn struct {
	storage.Store
	keep int64
	err  error
}

type tornAccount struct {
	storage.Account
	t *torn
}

type tornBox struct {
	storage.Mailbox
	t *torn
}

type tornBody struct {
	message.OpenBody
	t *torn
}

func (s *torn) Account(ctx context.Context, user string) (storage.Account, error) {
	a, err := s.Store.Account(ctx, user)
	return &tornAccount{a, s}, err
}

func (a *tornAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	b, err := a.Account.Mailbox(ctx, name)
	return &tornBox{b, a.t}, err
}

func (b *tornBox) Open(ctx context.Context, uid imap.UID) (message.OpenBody, error) {
	body, err := b.Mailbox.Open(ctx, uid)
	if uid != 2 {
		return body, err
	}
	return &tornBody{body, b.t}, b.t.err
}

func (b *tornBody) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.t.keep {
		return 0, errors.New("disk read error")
	}
	return b.OpenBody.ReadAt(p, off)
}

// tornServer serves three messages, the second of which is damaged.
func tornServer(t *testing.T, keep int64, err error) *client {
	s, addr := newServer(t, func(s *Server) { s.Store = &torn{s.Store, keep, err} })
	for range 3 {
		deliver(t, s.Store, "Subject: x\r\n\r\n"+strings.Repeat("0123456789abcdef", 10_000))
	}
	c := login(t, addr)
	c.ok("SELECT INBOX")
	return c
}

func TestBodyThatCanNotBeReadIsNotAnnounced(t *testing.T) {
	for _, err := range []error{nil, errors.New("cannot open")} {
		c := tornServer(t, 0, err)
		untagged := c.fails("FETCH 1:3 (UID BODY.PEEK[])", "NO [SERVERBUG] Some messages could not be read")
		require.NotContains(t, untagged, "* 2 FETCH")
		require.Contains(t, untagged, "* 1 FETCH")
		require.Contains(t, untagged, "* 3 FETCH")
		c.ok("SEARCH BODY nothing")
		c.ok("NOOP")
	}
}

func TestLiteralThatCanNotBeFinishedEndsTheConnection(t *testing.T) {
	c := tornServer(t, 100_000, nil)
	c.send("x FETCH 2 BODY.PEEK[]\r\n")
	rest, _ := io.ReadAll(c.in)
	_, literal, found := strings.Cut(string(rest), "{160014}\r\n")
	require.True(t, found, "%.100q", rest)
	require.Less(t, len(literal), 160_014)
	require.NotContains(t, literal, "BYE")
	require.NotContains(t, literal, "x ")
}

func TestI16ResponseTextIsOneLineWhateverTheErrorSays(t *testing.T) {
	var o output
	o.status("a", "NO", "CANNOT", "evil\r\n* 5 EXISTS\x00\u00e9")
	require.Equal(t, "a NO [CANNOT] evil??* 5 EXISTS??\r\n", string(o.b))
}

func TestUnforeseenErrorsOfTheStoreStayPrivate(t *testing.T) {
	reply, foreseen := answer(fmt.Errorf("open /var/secret: %w", errors.New("boom")))
	require.False(t, foreseen)
	require.Equal(t, imap.ResponseCodeServerBug, reply.Code)
	require.NotContains(t, reply.Text, "secret")
	reply, foreseen = answer(fmt.Errorf("in /var/secret: %w", storage.ErrOverQuota))
	require.True(t, foreseen)
	require.Equal(t, imap.ResponseCodeOverQuota, reply.Code)
	require.NotContains(t, reply.Text, "secret")
}

// full is a store without room.
type full struct{ storage.Store }

type fullAccount struct{ storage.Account }

type fullBox struct{ storage.Mailbox }

func (s full) Account(ctx context.Context, user string) (storage.Account, error) {
	a, err := s.Store.Account(ctx, user)
	return fullAccount{a}, err
}

func (a fullAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	b, err := a.Account.Mailbox(ctx, name)
	return fullBox{b}, err
}

func (fullBox) Append(context.Context, ...storage.NewMessage) ([]imap.UID, error) {
	return nil, storage.ErrOverQuota
}

func (fullBox) Copy(context.Context, imap.UIDSet, string) (storage.Copied, error) {
	return storage.Copied{}, storage.ErrOverQuota
}

func TestI29OverQuota(t *testing.T) {
	store := memory.New()
	_, addr := newServer(t, func(s *Server) { s.Store = full{store} })
	deliverTo(t, store, "alice", "INBOX", plainMessage)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	c.fails("COPY 1 Sent", "NO [OVERQUOTA]")
	c.fails("APPEND INBOX {3+}\r\nabc", "NO [OVERQUOTA]")
	c.ok("NOOP")
}

// TestI12ListPatternIsLinear compares patterns that can match in very many ways
// with one of their length that can't.
func TestI12ListPatternIsLinear(t *testing.T) {
	match := func(pattern string) time.Duration {
		m, began := newListPattern(pattern), time.Now()
		for i := range 5000 {
			m.match(strings.Repeat("a", 40) + fmt.Sprint(i))
		}
		return time.Since(began)
	}
	plain := match(strings.Repeat("a", 800))
	for _, pattern := range []string{strings.Repeat("%*", 400), strings.Repeat("*a", 400), strings.Repeat("%a", 400) + "*", "*" + strings.Repeat("a%", 300) + "b"} {
		require.Less(t, match(pattern), 20*plain+time.Second, "%.10s", pattern)
	}
}
