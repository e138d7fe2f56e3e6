package local_test

import (
	"context"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// layoutSaid is what the store says.
type layoutSaid struct {
	accounts []layoutAccount
	queued   []layoutQueued
}

// foundIn requires that the reader finds the same.
func (said layoutSaid) foundIn(t *testing.T, dir string) *layout {
	t.Helper()
	l, err := readLayout(dir)
	require.NoError(t, err)
	accounts, err := l.accounts()
	require.NoError(t, err)
	for i := range accounts {
		for k := range accounts[i].Retained {
			accounts[i].Retained[k].Saved = 0 // the store does not tell it
		}
	}
	require.Equal(t, said.accounts, accounts)
	queued, err := l.queued()
	require.NoError(t, err)
	left := make(map[uint64]uint64)
	for _, m := range queued {
		left[m.ID]++
	}
	for i := range queued {
		m := &queued[i]
		require.Equal(t, m.left, left[m.ID])
		require.LessOrEqual(t, m.left, m.total)
		m.total, m.left, m.size, m.Due = 0, 0, 0, 0
	}
	sortQueued(queued)
	require.Equal(t, said.queued, queued)
	return l
}

func (w *layoutWriter) accounts() (list []layoutAccount) {
	for _, user := range []string{"alice@example.test", "bob@example.test", "carol"} {
		ctx, a := w.t.Context(), w.account(user)
		infos, err := a.Mailboxes(ctx)
		require.NoError(w.t, err)
		acls, _ := storage.As[storage.ACLs](a)
		notes, _ := storage.As[storage.Annotations](a)
		found := layoutAccount{User: user, ACL: w.acl(acls, ""), Notes: w.notes(notes, "")}
		quotas, _ := storage.As[storage.Quotas](a)
		limit, _, err := quotas.Quota(ctx)
		require.NoError(w.t, err)
		found.Quota = layoutQuota(limit)
		slices.SortFunc(infos, func(x, y storage.MailboxInfo) int { return strings.Compare(x.Name, y.Name) })
		for _, info := range infos {
			if info.ID == 0 {
				found.Only = append(found.Only, info.Name)
				continue
			}
			m := w.said(w.mailbox(user, info.Name))
			m.Name, m.Subscribed, m.ACL, m.Notes = info.Name, info.Subscribed, w.acl(acls, info.Name), w.notes(notes, info.Name)
			limit, _, err := quotas.MailboxQuota(ctx, info.Name)
			require.NoError(w.t, err)
			m.Quota = layoutQuota(limit)
			for _, attr := range info.Attrs {
				m.Attrs = append(m.Attrs, string(attr))
			}
			found.Mailboxes = append(found.Mailboxes, m)
		}
		keeper, _ := storage.As[storage.Retainer](a)
		for r, err := range keeper.Retained(ctx) {
			require.NoError(w.t, err)
			content, err := keeper.OpenRetained(ctx, r.ID)
			require.NoError(w.t, err)
			m := layoutRetained{uint64(r.ID), r.Mailbox, byte(r.Kind), r.Expunged.Unix(), r.Until.Unix(), w.saidOf(r.Message, content)}
			found.Retained = append(found.Retained, m)
		}
		list = append(list, found)
	}
	return list
}

func layoutQuota(q storage.Quota) [3]uint64 {
	return [3]uint64{uint64(q.Bytes), uint64(q.Messages), uint64(q.Mailboxes)}
}

func (w *layoutWriter) acl(a storage.ACLs, name string) (list []layoutACE) {
	acl, err := a.ACL(w.t.Context(), name)
	require.NoError(w.t, err)
	for _, e := range acl {
		list = append(list, layoutACE{e.Identifier, uint64(e.Allow), uint64(e.Deny)})
	}
	return list
}

func (w *layoutWriter) notes(a storage.Annotations, name string) (list []layoutNote) {
	all, err := a.Annotations(w.t.Context(), name, "bob@example.test")
	require.NoError(w.t, err)
	for _, n := range all {
		list = append(list, layoutNote{n.User, n.Name, string(n.Value)})
	}
	return list
}

func (w *layoutWriter) said(box storage.Mailbox) layoutMailbox {
	ctx, t := w.t.Context(), w.t
	st, err := box.Status(ctx)
	require.NoError(t, err)
	m := layoutMailbox{
		ID: uint64(box.ID()), Kind: byte(box.Kind()), Validity: uint64(st.UIDValidity), Next: uint64(st.UIDNext), ModSeq: st.HighestModSeq,
		Messages: uint64(st.Messages), Unseen: uint64(st.Unseen), Deleted: uint64(st.Deleted), Size: uint64(st.Size),
	}
	for one, err := range box.Messages(ctx, 0) {
		require.NoError(t, err)
		content, err := box.Open(ctx, one.UID)
		require.NoError(t, err)
		m.List = append(m.List, w.saidOf(one, content))
	}
	dater, _ := storage.As[storage.SaveDater](box)
	i := 0
	for d, err := range dater.SaveDates(ctx, imap.UIDSet{{Start: 1, Stop: 0}}) {
		require.NoError(t, err)
		require.EqualValues(t, d.UID, m.List[i].UID)
		m.List[i].Saved = d.Date.Unix()
		i++
	}
	gone, err := box.Expunged(ctx, 0)
	require.NoError(t, err)
	uids, _ := gone.Nums()
	for _, uid := range uids {
		m.Expunged = append(m.Expunged, uint64(uid))
	}
	return m
}

func (w *layoutWriter) saidOf(m storage.Message, content message.OpenBody) layoutMessage {
	b, err := io.ReadAll(message.NewReader(content))
	require.NoError(w.t, err)
	require.NoError(w.t, content.Close())
	_, zone := m.Date.Zone()
	found := layoutMessage{UID: uint64(m.UID), ModSeq: m.ModSeq, Flags: byte(m.Flags.System), Seconds: m.Date.Unix(), Minutes: int64(zone / 60), Size: uint64(m.Size), Content: digest(string(b))}
	for _, k := range m.Flags.Keywords {
		found.Keywords = append(found.Keywords, string(k))
	}
	return found
}

func (w *layoutWriter) queued() (list []layoutQueued) {
	ctx, t := w.t.Context(), w.t
	w.now.Add(3600)
	claims, err := w.q.Claim(ctx, 100, time.Minute)
	require.NoError(t, err)
	for _, c := range claims {
		b, err := io.ReadAll(message.NewReader(c.Body))
		require.NoError(t, err)
		for i, to := range c.Envelope.Recipients {
			s := c.States[i]
			m := layoutQueued{
				ID: uint64(c.ID), From: c.From.String(), To: to.To.String(), FromOptions: w.json(c.Envelope.Options), ToOptions: w.json(to.Options),
				Destination: c.Destination, Received: c.Received.UnixNano(), Attempts: uint64(s.Attempts), Delayed: s.Delayed, Session: c.Session, Content: string(b),
			}
			if s.Last != nil {
				m.Code, m.Text, m.Reason = uint64(s.Last.Code), s.Last.Text, s.Last.Reason.Error()
				for i, n := range s.Last.Enhanced {
					m.Enhanced[i] = int64(n)
				}
			}
			list = append(list, m)
		}
		require.NoError(t, w.q.Release(context.Background(), c))
	}
	sortQueued(list)
	return list
}

func sortQueued(list []layoutQueued) {
	slices.SortFunc(list, func(a, b layoutQueued) int { return strings.Compare(a.Session+a.To, b.Session+b.To) })
}

// json is empty for the zero options.
func (w *layoutWriter) json(options any) string {
	if reflect.ValueOf(options).IsZero() {
		return ""
	}
	b, err := json.Marshal(options)
	require.NoError(w.t, err)
	return string(b)
}
