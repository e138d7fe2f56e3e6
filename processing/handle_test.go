package processing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/queue"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/storage"
)

func TestAccountGetsAMessageOnceWithItsTrace(t *testing.T) {
	w := newWorld(t, nil)
	r := w.handle(t, mailTo(t, "a@client.test", "sales@here.test", "Alice@here.test", "bob@here.test"))
	require.Equal(t, "250 2.0.0 Accepted as M1", r.Error())
	require.Equal(t, []string{"Return-Path: <a@client.test>\r\nDelivered-To: sales@here.test\r\n" + trace + text}, w.inbox(t, "alice@here.test"))
	require.Equal(t, []string{"Return-Path: <a@client.test>\r\nDelivered-To: sales@here.test\r\n" + trace + text}, w.inbox(t, "bob@here.test"))
	require.Equal(t, 1, w.store.deliver)
	require.Empty(t, w.queued(t))
}

func TestNullSenderPostmasterAndFolders(t *testing.T) {
	w := newWorld(t, nil)
	w.handle(t, mailTo(t, "", "postmaster"))
	require.True(t, strings.HasPrefix(w.inbox(t, "alice@here.test")[0], "Return-Path: <>\r\nDelivered-To: postmaster\r\n"))
	w.handle(t, mailTo(t, "", "list@here.test"))
	require.Len(t, w.inbox(t, "alice@here.test", "Lists"), 1)
}

func TestIndexOfADeliveredMessageFitsItsPrefix(t *testing.T) {
	w := newWorld(t, nil)
	w.handle(t, mailTo(t, "a@client.test", "alice@here.test"))
	ctx := context.Background()
	a, err := w.store.Account(ctx, "alice@here.test")
	require.NoError(t, err)
	box, err := a.Mailbox(ctx, "INBOX")
	require.NoError(t, err)
	index, err := box.Index(ctx, 1)
	require.NoError(t, err)
	body, err := box.Open(ctx, 1)
	require.NoError(t, err)
	defer body.Close()
	content := make([]byte, index.End-index.Body)
	_, err = body.ReadAt(content, index.Body)
	require.NoError(t, err)
	require.Equal(t, "hello\r\n", string(content))
}

func TestLocalAndForeignRecipients(t *testing.T) {
	w := newWorld(t, nil)
	m := mailTo(t, "alice@here.test", "bob@here.test", "x@far.test", "both@here.test", "away@here.test", "X@FAR.test")
	require.Equal(t, 250, w.handle(t, m).Code)
	require.Len(t, w.inbox(t, "bob@here.test"), 1)
	require.Len(t, w.inbox(t, "alice@here.test"), 1)
	require.Equal(t, []string{"x@far.test far.test", "carol@far.test far.test"}, w.queued(t), "each foreign address once")
	w.run(func() {
		require.Eventually(t, func() bool { return len(w.post.parcels()) == 2 }, 5*time.Second, time.Millisecond)
	})
	p := w.post.parcels()[1]
	require.Equal(t, "alice@here.test", p.from, "a forward keeps the sender")
	require.Equal(t, "carol@far.test", p.to)
	require.Equal(t, "both@here.test", p.options.Options.OriginalRecipient)
	require.Equal(t, trace+text, p.text)
	require.Empty(t, w.queued(t))
}

func TestForwardToALocalAddressIsFollowedAndALoopEnds(t *testing.T) {
	w := newWorld(t, nil)
	w.handle(t, mailTo(t, "a@client.test", "chain@here.test"))
	require.Len(t, w.inbox(t, "bob@here.test"), 1)
	r := w.handle(t, mailTo(t, "a@client.test", "loop@here.test"))
	require.Equal(t, gosmtp.EnhancedCode{5, 4, 6}, r.EnhancedCode())
}

func TestDirectoryThatLeadsToNobodyLosesNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.people.to["odd@here.test"] = []directory.Recipient{{}}
	w.people.to["none@here.test"] = []directory.Recipient{}
	require.Equal(t, 451, w.handle(t, mailTo(t, "a@client.test", "odd@here.test")).Code)
	require.Equal(t, 550, w.handle(t, mailTo(t, "a@client.test", "none@here.test")).Code)
	require.Empty(t, w.queued(t))
}

// shared is a queue with the power to put store and queue into one record.
type shared struct {
	queue.Queue
	store    storage.Store
	submits  int
	failWith error
}

func (q *shared) Unwrap() queue.Queue { return q.Queue }

func (q *shared) Submit(ctx context.Context, d *storage.Delivery, m *queue.Message) ([]storage.Receipt, queue.ID, error) {
	q.submits++
	if q.failWith != nil {
		return nil, 0, q.failWith
	}
	id, err := q.Put(ctx, m)
	if err != nil {
		return nil, 0, err
	}
	receipts, err := q.store.Deliver(ctx, d)
	return receipts, id, err
}

// wrapped hides a queue behind another one, as metrics would.
type wrapped struct{ queue.Queue }

func (q wrapped) Unwrap() queue.Queue { return q.Queue }

func TestBothSidesAreOneRecordWhereTheQueueCan(t *testing.T) {
	var q *shared
	w := newWorld(t, func(o *Options) {
		q = &shared{Queue: o.Queue, store: o.Store}
		o.Queue = wrapped{q}
	})
	require.Equal(t, 250, w.handle(t, mailTo(t, "alice@here.test", "bob@here.test", "x@far.test")).Code)
	require.Equal(t, 1, q.submits)
	require.Len(t, w.inbox(t, "bob@here.test"), 1)
	require.Len(t, w.queued(t), 1)
	w.handle(t, mailTo(t, "a@client.test", "bob@here.test"))
	require.Equal(t, 1, q.submits, "one side needs no common record")
	q.failWith = errors.New("broken")
	require.Equal(t, 451, w.handle(t, mailTo(t, "alice@here.test", "bob@here.test", "x@far.test")).Code)
	require.Len(t, w.inbox(t, "bob@here.test"), 2, "nothing half accepted")
	require.Len(t, w.queued(t), 1)
}

func TestS29FailuresOfStoreAndQueueAcceptNothing(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(*world)
		to     []string
		want   int
	}{
		"store broken":       {func(w *world) { w.store.fail = errors.New("secret cause") }, []string{"bob@here.test"}, 451},
		"disk full":          {func(w *world) { w.store.fail = fmt.Errorf("deliver: %w", syscall.ENOSPC) }, []string{"bob@here.test"}, 452},
		"quota full":         {func(w *world) { w.store.set("bob@here.test", storage.ErrOverQuota) }, []string{"bob@here.test"}, 452},
		"queue broken":       {func(w *world) { w.queue.put = errors.New("secret cause") }, []string{"x@far.test"}, 451},
		"queue disk full":    {func(w *world) { w.queue.put = syscall.ENOSPC }, []string{"x@far.test"}, 452},
		"queue full":         {func(w *world) { w.queue.put = queue.ErrFull }, []string{"x@far.test"}, 452},
		"queue broken, both": {func(w *world) { w.queue.put = errors.New("secret cause") }, []string{"bob@here.test", "x@far.test"}, 451},
		"directory down":     {func(w *world) { w.people.fail = directory.ErrUnavailable }, []string{"bob@here.test"}, 451},
		"quota and trouble, both": {func(w *world) {
			w.store.set("bob@here.test", storage.ErrOverQuota)
			w.store.set("alice@here.test", errors.New("secret cause"))
		}, []string{"bob@here.test", "alice@here.test"}, 452},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			c.break_(w)
			r := w.handle(t, mailTo(t, "alice@here.test", c.to...))
			require.Equal(t, c.want, r.Code)
			require.NotContains(t, r.PublicText(), "secret")
			w.store.fail, w.queue.put = nil, nil
			require.Empty(t, w.inbox(t, "bob@here.test"))
			require.Empty(t, w.queued(t))
		})
	}
}

func TestStoreFailingAfterTheQueueTookItsPartIsRetriedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.store.fail = errors.New("down")
		require.Equal(t, 250, w.handle(t, mailTo(t, "alice@here.test", "bob@here.test", "x@far.test")).Code)
		require.Equal(t, []string{"x@far.test far.test", "bob@here.test account:bob@here.test"}, w.queued(t))
		w.run(func() {
			synctest.Wait()
			require.Len(t, w.post.parcels(), 1)
			time.Sleep(6 * time.Minute)
			synctest.Wait()
			require.Len(t, w.queued(t), 1, "still down")
			w.store.mu.Lock()
			w.store.fail = nil
			w.store.mu.Unlock()
			time.Sleep(time.Hour)
		})
		require.Empty(t, w.queued(t))
		require.Equal(t, []string{"Return-Path: <alice@here.test>\r\nDelivered-To: bob@here.test\r\n" + trace + text}, w.inbox(t, "bob@here.test"))
		require.Len(t, w.post.parcels(), 1, "the other side is not sent again")
	})
}

func TestPartialFailureOverSMTPIsOursToMend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.store.set("alice@here.test", errors.New("locked"))
		w.people.to["full@here.test"] = []directory.Recipient{account("full@here.test")}
		w.store.set("full@here.test", storage.ErrOverQuota)
		m := mailTo(t, "z@client.test", "sales@here.test", "full@here.test", "gone@here.test")
		require.Equal(t, 250, w.handle(t, m).Code)
		require.Len(t, w.inbox(t, "bob@here.test"), 1)
		require.Equal(t, []string{
			"sales@here.test account:alice@here.test", "full@here.test account:full@here.test", "z@client.test client.test",
		}, w.queued(t))
		w.store.set("alice@here.test", nil)
		w.run(func() { time.Sleep(10 * time.Minute) })
		require.Len(t, w.inbox(t, "alice@here.test"), 1)
		require.Len(t, w.inbox(t, "bob@here.test"), 1, "who has it gets no second one")
		sent := w.post.parcels()
		require.Len(t, sent, 1)
		require.Empty(t, sent[0].from)
		require.NotContains(t, sent[0].text, "full@here.test")
		require.Contains(t, sent[0].text, "gone@here.test")
		require.Contains(t, sent[0].text, "5.1.1")
		require.Equal(t, []string{"full@here.test account:full@here.test"}, w.queued(t), "who is full may make room")
		w.run(func() { time.Sleep(30 * 24 * time.Hour) })
		require.Empty(t, w.queued(t))
		require.Contains(t, w.post.parcels()[1].text, "452 4.2.2 The mailbox is full", "and is given up in the end")
	})
}

func TestLMTPAnswersForEachRecipient(t *testing.T) {
	w := newWorld(t, nil)
	w.store.set("alice@here.test", storage.ErrOverQuota)
	m := mailTo(t, "z@client.test", "alice@here.test", "bob@here.test", "gone@here.test", "sales@here.test")
	m.Session.Protocol = smtp.LMTP
	var errs smtp.RecipientErrors
	require.ErrorAs(t, w.Handle(context.Background(), m), &errs)
	require.Len(t, errs, 4)
	require.Equal(t, 452, mail.AsReply(errs[0]).Code)
	require.Equal(t, gosmtp.EnhancedCode{4, 2, 2}, mail.AsReply(errs[0]).EnhancedCode())
	require.NoError(t, errs[1])
	require.Equal(t, 550, mail.AsReply(errs[2]).Code)
	require.NoError(t, errs[3], "somebody of sales has it")
	require.Len(t, w.inbox(t, "bob@here.test"), 1)
	require.Equal(t, []string{"sales@here.test account:alice@here.test"}, w.queued(t), "sales lacks alice, whom the client knows nothing of")

	m.Envelope.Recipients = m.Envelope.Recipients[:1]
	require.ErrorAs(t, w.Handle(context.Background(), m), &errs)
	require.Len(t, errs, 1)
	m.Envelope.Recipients[0].To = mail.MustParseAddress("bob@here.test")
	require.Equal(t, 250, w.handle(t, m).Code)
}

// TestS30LostAnswerCostsADuplicateAtMost: the client that did not hear the
// 250 comes again.
func TestS30LostAnswerCostsADuplicateAtMost(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	m := mailTo(t, "a@client.test", "bob@here.test")
	require.Equal(t, 250, mail.AsReply(w.Handle(ctx, m)).Code)
	cancel() // the connection is gone, the message is not
	require.Len(t, w.inbox(t, "bob@here.test"), 1)
	require.Equal(t, 451, mail.AsReply(w.Handle(ctx, m)).Code, "nothing begins for a client that is gone")
	w.handle(t, m)
	require.Len(t, w.inbox(t, "bob@here.test"), 2)
}

func TestSubmissionGetsTheFieldsItLacks(t *testing.T) {
	w := newWorld(t, nil)
	for body, want := range map[string][]string{
		"Subject: x\r\n\r\nhi":                  {"Date", "Message-ID"},
		"date: today\r\n\r\nhi":                 {"Message-ID"},
		"Message-Id: <1@x>\r\n\r\nDate: no\r\n": {"Date"},
		text:                                    nil,
	} {
		for _, indexed := range []bool{true, false} {
			m := mailTo(t, "alice@here.test", "bob@here.test")
			m.Session.Protocol, m.Session.User = smtp.Submission, "alice@here.test"
			m.Body = message.FromBytes([]byte(body))
			m.Index = nil
			if indexed {
				m.Index, _ = message.Parse(m.Body, message.Limits{})
			}
			before := len(w.inbox(t, "bob@here.test"))
			w.handle(t, m)
			got := w.inbox(t, "bob@here.test")[before]
			prefix, _ := strings.CutSuffix(got, body)
			var added []string
			for f := range message.Fields([]byte(prefix)) {
				if f.Name == "Date" || f.Name == "Message-ID" {
					added = append(added, f.Name)
				}
			}
			require.Equal(t, want, added, "%q", body)
		}
	}
	m := mailTo(t, "a@client.test", "bob@here.test")
	m.Body, m.Index = message.FromBytes([]byte("Subject: x\r\n\r\nhi")), nil
	before := len(w.inbox(t, "bob@here.test"))
	w.handle(t, m)
	require.NotContains(t, w.inbox(t, "bob@here.test")[before], "Message-ID", "mail from elsewhere is left as it is")
}
