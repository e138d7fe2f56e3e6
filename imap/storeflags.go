package imap

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// storeFlags is StoreFlags for messages of spans, as far as the rights let:
// flags that may not be changed stay as they are (RFC 4314 §4). It fails when
// none of those that are named may be.
func (v *view) storeFlags(ctx context.Context, spans []span, u storage.FlagUpdate) (changed []storage.Message, failed imap.UIDSet, err error) {
	named := u.Flags
	u.Flags = settableOf(v.rights, named)
	switch {
	case v.rights&flagRights == flagRights:
		return v.box.StoreFlags(ctx, u)
	case v.rights&flagRights == 0:
		return nil, nil, errNoPerm
	case u.Op == imap.StoreFlagsSet: // which is about those that are not named, too
		return v.replaceFlags(ctx, spans, u)
	case !isEmpty(named) && isEmpty(u.Flags):
		return nil, nil, errNoPerm
	}
	return v.box.StoreFlags(ctx, u)
}

// replaceFlags sets those flags that may be changed, and takes away those of
// them that are not to be there.
func (v *view) replaceFlags(ctx context.Context, spans []span, u storage.FlagUpdate) (changed []storage.Message, failed imap.UIDSet, err error) {
	rest := v.others(spans, u.Flags)
	u.Op = imap.StoreFlagsAdd
	if changed, failed, err = v.box.StoreFlags(ctx, u); err != nil {
		return nil, nil, err
	}
	left := v.uidsWhere(spans, func(e *entry) bool { return !failed.Contains(e.uid) })
	more, _, err := v.box.StoreFlags(ctx, storage.FlagUpdate{UIDs: left, Op: imap.StoreFlagsDel, Flags: rest})
	return latest(changed, more), failed, err
}

// others returns the flags that may be changed but for some: all system flags,
// and the keywords that messages of spans have.
func (v *view) others(spans []span, but storage.Flags) storage.Flags {
	system, keywords := settable(v.rights)
	names := storage.Flags{System: system &^ but.System}.Names()
	if keywords {
		have := make(map[imap.Flag]bool)
		for _, s := range spans {
			for i := s.from; i < s.to; i++ {
				for _, k := range v.flags(v.at(i)).Keywords {
					have[k] = true
				}
			}
		}
		for k := range have {
			if !but.HasKeyword(k) {
				names = append(names, k)
			}
		}
	}
	return storage.NewFlags(names...)
}

func isEmpty(f storage.Flags) bool { return f.System == 0 && len(f.Keywords) == 0 }

// latest joins what two changes, one after the other, left of messages.
func latest(first, second []storage.Message) []storage.Message {
	last := make(map[imap.UID]storage.Message, len(first))
	for _, m := range append(first, second...) {
		last[m.UID] = m
	}
	return slices.SortedFunc(maps.Values(last), func(a, b storage.Message) int { return cmp.Compare(a.UID, b.UID) })
}
