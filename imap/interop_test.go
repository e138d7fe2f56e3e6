package imap

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// peer logs imapclient in.
func peer(t *testing.T, addr string, options *imapclient.Options) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, options)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Login("alice", "secret").Wait())
	return c
}

func TestInteropMailboxes(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	c := peer(t, addr, nil)
	require.NoError(t, c.Create("Gr\u00fc\u00dfe/\u65e5\u672c & more", nil).Wait())
	require.NoError(t, c.Create("Saved", &imap.CreateOptions{SpecialUse: []imap.MailboxAttr{imap.MailboxAttrArchive}}).Wait())
	list, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true, UIDNext: true}, ReturnSubscribed: true}).Collect()
	require.NoError(t, err)
	byName := map[string]*imap.ListData{}
	for _, l := range list {
		byName[l.Mailbox] = l
	}
	require.Contains(t, byName, "Gr\u00fc\u00dfe/\u65e5\u672c & more")
	require.Contains(t, byName["Gr\u00fc\u00dfe"].Attrs, imap.MailboxAttrHasChildren)
	require.Contains(t, byName["Saved"].Attrs, imap.MailboxAttrArchive)
	require.EqualValues(t, 1, *byName["INBOX"].Status.NumMessages)
	require.NoError(t, c.Rename("Gr\u00fc\u00dfe", "Mail", nil).Wait())
	require.NoError(t, c.Subscribe("Mail").Wait())
	require.NoError(t, c.Unsubscribe("Mail").Wait())
	st, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, NumUnseen: true, NumDeleted: true, Size: true, AppendLimit: true}).Wait()
	require.NoError(t, err)
	require.EqualValues(t, len(plainMessage), *st.Size)
	require.NoError(t, c.Delete("Mail/\u65e5\u672c & more").Wait())
	ns, err := c.Namespace().Wait()
	require.NoError(t, err)
	require.Equal(t, '/', ns.Personal[0].Delim)
	_, err = c.ID(&imap.IDData{Name: "test"}).Wait()
	require.NoError(t, err)
	require.NoError(t, c.Logout().Wait())
}

func TestInteropMessages(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	deliver(t, s.Store, mixedMessage)
	c := peer(t, addr, nil)
	sel, err := c.Select("INBOX", nil).Wait()
	require.NoError(t, err)
	require.EqualValues(t, 2, sel.NumMessages)
	section := &imap.FetchItemBodySection{Peek: true}
	header := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Subject"}, Peek: true}
	binary := &imap.FetchItemBinarySection{Part: []int{2}, Peek: true}
	msgs, err := c.Fetch(imap.SeqSetNum(1, 2), &imap.FetchOptions{
		Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection:   []*imap.FetchItemBodySection{section, header},
	}).Collect()
	require.NoError(t, err)
	require.Len(t, msgs, 2)
	require.Equal(t, plainMessage, string(msgs[0].FindBodySection(section)))
	require.Equal(t, mixedMessage, string(msgs[1].FindBodySection(section)))
	require.Equal(t, "Subject: Lunch\r\n\r\n", string(msgs[0].FindBodySection(header)))
	require.Equal(t, "Gr\u00fc\u00dfe", msgs[1].Envelope.Subject)
	require.Equal(t, "Bob \"B\" Builder", msgs[1].Envelope.From[0].Name)
	require.True(t, received.Equal(msgs[0].InternalDate))
	require.Equal(t, "multipart/mixed", msgs[1].BodyStructure.MediaType())
	require.Len(t, msgs[1].BodyStructure.(*imap.BodyStructureMultiPart).Children, 3)
	bin, err := c.Fetch(imap.UIDSetNum(2), &imap.FetchOptions{BinarySection: []*imap.FetchItemBinarySection{binary}}).Collect()
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, bin[0].FindBinarySection(binary))

	stored, err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen, "$Forwarded"}}, nil).Collect()
	require.NoError(t, err)
	require.ElementsMatch(t, []imap.Flag{imap.FlagSeen, `\Recent`, "$Forwarded"}, stored[0].Flags)
	found, err := c.UIDSearch(&imap.SearchCriteria{Flag: []imap.Flag{"$Forwarded"}, Body: []string{"shall"}}, &imap.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait()
	require.NoError(t, err)
	require.EqualValues(t, 1, found.Count)
	copied, err := c.Copy(imap.SeqSetNum(1, 2), "Sent").Wait()
	require.NoError(t, err)
	require.Equal(t, imap.UIDSet{{Start: 1, Stop: 2}}, copied.DestUIDs)
	moved, err := c.Move(imap.UIDSetNum(2), "Trash").Wait()
	require.NoError(t, err)
	require.Equal(t, imap.UIDSetNum(1), moved.DestUIDs)
	require.NoError(t, c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	gone, err := c.Expunge().Collect()
	require.NoError(t, err)
	require.Equal(t, []uint32{1}, gone)
	require.NoError(t, c.UnselectAndExpunge().Wait())
}

func TestInteropAppendBigMessage(t *testing.T) {
	_, addr := newServer(t, nil)
	c := peer(t, addr, nil)
	big := "Subject: big\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 200_000)
	a := c.Append("INBOX", int64(len(big)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagDraft}, Time: received})
	_, err := io.WriteString(a, big)
	require.NoError(t, err)
	require.NoError(t, a.Close())
	data, err := a.Wait()
	require.NoError(t, err)
	require.EqualValues(t, 1, data.UID)
	_, err = c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	require.NoError(t, err)
	section := &imap.FetchItemBodySection{}
	msgs, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	require.NoError(t, err)
	require.Equal(t, big, string(msgs[0].FindBodySection(section)))
}

func TestInteropIdle(t *testing.T) {
	s, addr := newServer(t, nil)
	exists := make(chan uint32, 4)
	c := peer(t, addr, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				exists <- *d.NumMessages
			}
		},
	}})
	_, err := c.Select("INBOX", nil).Wait()
	require.NoError(t, err)
	idle, err := c.Idle()
	require.NoError(t, err)
	deliver(t, s.Store, plainMessage)
	select {
	case n := <-exists:
		require.EqualValues(t, 1, n)
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was told")
	}
	require.NoError(t, idle.Close())
	require.NoError(t, idle.Wait())
}

func TestInteropRev2(t *testing.T) {
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	c := peer(t, addr, nil)
	enabled, err := c.Enable(imap.CapIMAP4rev2).Wait()
	require.NoError(t, err)
	require.True(t, enabled.Caps.Has(imap.CapIMAP4rev2))
	require.NoError(t, c.Create("\u65e5\u672c", nil).Wait())
	_, err = c.Select("INBOX", nil).Wait()
	require.NoError(t, err)
	found, err := c.Search(&imap.SearchCriteria{Text: []string{"lunch"}}, nil).Wait()
	require.NoError(t, err)
	require.Equal(t, []uint32{1}, found.AllSeqNums())
}

func TestInteropStartTLSAndAuthenticate(t *testing.T) {
	_, addr := newServer(t, func(s *Server) { s.PlainAuth = nil })
	c, err := imapclient.DialStartTLS(addr, &imapclient.Options{TLSConfig: testcert.Client()})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Authenticate(sasl.NewPlainClient("", "alice", "secret")))
	require.NoError(t, c.Noop().Wait())
}

func TestInteropImplicitTLS(t *testing.T) {
	s := quietServer(nil)
	s, plain := newServer(t, func(n *Server) { n.PlainAuth = nil; s.Auth = n.Auth })
	_ = plain
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context(), tls.NewListener(inner, testcert.Server())) }()
	nc, err := tls.Dial("tcp", inner.Addr().String(), testcert.Client())
	require.NoError(t, err)
	c := imapclient.New(nc, nil)
	defer c.Close()
	require.NoError(t, c.Login("alice", "secret").Wait())
	require.NoError(t, c.Logout().Wait())
	s.Close()
	require.ErrorIs(t, <-done, ErrServerClosed)
}
