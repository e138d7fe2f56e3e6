package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// entries reads a list from triples of identifier, allowed and denied letters.
func entries(t testing.TB, triples ...string) (list ACL) {
	t.Helper()
	for e := range slices.Chunk(triples, 3) {
		list = append(list, ACE{Identifier: e[0], Allow: rights(t, e[1]), Deny: rights(t, e[2])})
	}
	return list
}

func TestEffectiveRights(t *testing.T) {
	bob := Subject{User: "bob", Groups: NewGroups("staff", "everybody")}
	list := func(triples ...string) ACL { return entries(t, triples...) }
	for _, c := range []struct {
		name           string
		chain          []ACL
		subject        Subject
		inherit, plain string
	}{
		{"nothing is set", []ACL{nil, nil}, bob, "", ""},
		{"no chain", nil, bob, "", ""},
		{"himself", []ACL{nil, list("bob", "lr", "")}, bob, "lr", "lr"},
		{"somebody else", []ACL{nil, list("alice", "lr", "", "Bob", "lr", "", "bobby", "lr", "")}, bob, "", ""},
		{"anyone", []ACL{nil, list("anyone", "lr", "")}, Subject{}, "lr", "lr"},
		{"a group", []ACL{nil, list("group:staff", "i", "", "group:other", "a", "")}, bob, "i", "i"},
		{"all are united", []ACL{nil, list("anyone", "l", "", "bob", "r", "", "group:staff", "i", "", "group:everybody", "p", "")}, bob, "lrip", "lrip"},
		{"above the mailbox", []ACL{list("bob", "lr", ""), nil}, bob, "lr", ""},
		{"above and itself", []ACL{list("bob", "lr", ""), list("bob", "s", ""), list("bob", "i", "")}, bob, "lrsi", "i"},
		{"denied and allowed", []ACL{list("bob", "lr", "r")}, bob, "l", "l"},
		{"denied to him, allowed to his group", []ACL{nil, list("bob", "", "r", "group:staff", "lr", "")}, bob, "l", "l"},
		{"denied to his group, allowed to him", []ACL{nil, list("bob", "lr", "", "group:staff", "", "r")}, bob, "l", "l"},
		{"denied to anyone, allowed to him", []ACL{nil, list("bob", "lr", "", "anyone", "", "r")}, bob, "l", "l"},
		{"denied to somebody else", []ACL{nil, list("bob", "lr", "", "alice", "", "r", "group:other", "", "l")}, bob, "lr", "lr"},
		{"an allow below a deny does not help", []ACL{list("group:staff", "", "r"), list("bob", "lr", "")}, bob, "l", "lr"},
		{"a deny below an allow is an exception", []ACL{list("bob", "lrswi", ""), list("bob", "", "wi")}, bob, "lrs", ""},
		{"a sibling's list is not asked", []ACL{list("bob", "lr", "")}, bob, "lr", "lr"},
		{"a user is no group", []ACL{nil, list("group:bob", "lr", "", "staff", "lr", "")}, bob, "", ""},
		{"a user who is called like a group", []ACL{nil, list("group:staff", "lr", "")}, Subject{User: "group:staff"}, "", ""},
		{"a group that is called like a group's identifier", []ACL{nil, list("group:group:x", "lr", "", "group:x", "a", "")}, Subject{Groups: NewGroups("group:x")}, "lr", "lr"},
		{"a group called anyone", []ACL{nil, list("group:anyone", "lr", "")}, bob, "", ""},
		{"nobody in particular", []ACL{{{Allow: AllRights}}}, Subject{}, "", ""},
		{"the owner", []ACL{list("bob", "", "lrswipkxtea", "anyone", "", "a"), nil}, Subject{User: "bob", Always: AllRights}, "lrswipkxtea", "lrswipkxtea"},
		{"a right that is always there", []ACL{nil, list("bob", "r", "la")}, Subject{User: "bob", Always: RightLookup | RightAdmin}, "lra", "lra"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.inherit, EffectiveRights(ACLInherit, c.chain, c.subject).String(), "inherit")
			require.Equal(t, c.plain, EffectiveRights(ACLPlain, c.chain, c.subject).String(), "plain")
			require.Equal(t, c.subject.Always, EffectiveRights(ACLMode(9), c.chain, c.subject), "an unknown mode gives nothing")
		})
	}
}

// allowed says slowly, and for one right alone, what EffectiveRights should.
func allowed(mode ACLMode, chain []ACL, s Subject, right Rights) bool {
	if s.Always&right != 0 {
		return true
	}
	him := []string{"anyone"}
	if s.User != "" {
		him = append(him, s.User)
	}
	for g := range s.Groups {
		him = append(him, "group:"+g)
	}
	if mode == ACLPlain {
		chain = chain[len(chain)-1:]
	}
	for _, list := range chain {
		for _, e := range list {
			if slices.Contains(him, e.Identifier) && e.Deny&right != 0 {
				return false
			}
		}
	}
	for _, list := range chain {
		for _, e := range list {
			if slices.Contains(him, e.Identifier) && e.Allow&right != 0 {
				return true
			}
		}
	}
	return false
}

// randomChain makes lists of few identifiers, so that they meet often.
func randomChain(r *rand.Rand) []ACL {
	identifiers := []string{"anyone", "alice", "bob", "group:staff", "group:sales", "group:others", "staff"}
	chain := make([]ACL, 1+r.IntN(5))
	for i := range chain {
		for range r.IntN(5) {
			chain[i] = append(chain[i], ACE{
				Identifier: identifiers[r.IntN(len(identifiers))],
				Allow:      Rights(r.Uint32()) & AllRights, Deny: Rights(r.Uint32()&r.Uint32()&r.Uint32()) & AllRights,
			})
		}
	}
	return chain
}

func randomSubject(r *rand.Rand) Subject {
	s := Subject{User: []string{"", "alice", "bob", "carol"}[r.IntN(4)], Groups: make(Groups)}
	for _, g := range []string{"staff", "sales", "empty"} {
		if r.IntN(2) == 0 {
			s.Groups[g] = struct{}{}
		}
	}
	if r.IntN(8) == 0 {
		s.Always = Rights(r.Uint32()) & AllRights
	}
	return s
}

func TestEffectiveRightsAgreeWithASlowModel(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 4_000 {
		chain, s := randomChain(r), randomSubject(r)
		for _, mode := range []ACLMode{ACLPlain, ACLInherit} {
			got := EffectiveRights(mode, chain, s)
			for right := Rights(1); right <= AllRights; right <<= 1 {
				require.Equal(t, allowed(mode, chain, s, right), got&right != 0, "seed %d: mode %d, right %v, %v, %v", seed, mode, right, chain, s)
			}
		}
	}
}

func TestOrderOfEntriesAndListsIsOfNoMatter(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2_000 {
		chain, s := randomChain(r), randomSubject(r)
		inherit, plain := EffectiveRights(ACLInherit, chain, s), EffectiveRights(ACLPlain, chain, s)
		mailbox := len(chain) - 1
		clean, err := chain[mailbox].Clean()
		require.NoError(t, err)
		require.Equal(t, plain, EffectiveRights(ACLPlain, []ACL{clean}, s), "seed %d", seed)
		for _, list := range chain {
			r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		require.Equal(t, plain, EffectiveRights(ACLPlain, chain, s), "seed %d", seed)
		r.Shuffle(mailbox, func(i, j int) { chain[i], chain[j] = chain[j], chain[i] })
		require.Equal(t, plain, EffectiveRights(ACLPlain, chain, s), "seed %d: lists above don't count", seed)
		r.Shuffle(len(chain), func(i, j int) { chain[i], chain[j] = chain[j], chain[i] })
		require.Equal(t, inherit, EffectiveRights(ACLInherit, chain, s), "seed %d", seed)
	}
}

func TestADenialAlwaysWins(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2_000 {
		chain, s := randomChain(r), randomSubject(r)
		s.Always = 0
		right := Rights(1) << r.IntN(len(rightLetters))
		identifiers := []string{Anyone}
		if s.User != "" {
			identifiers = append(identifiers, s.User)
		}
		for g := range s.Groups {
			identifiers = append(identifiers, GroupPrefix+g)
		}
		at := r.IntN(len(chain))
		chain[at] = append(chain[at], ACE{Identifier: identifiers[r.IntN(len(identifiers))], Allow: right, Deny: right})
		require.Zero(t, EffectiveRights(ACLInherit, chain, s)&right, "seed %d: %v %v", seed, chain, s)
		require.Zero(t, EffectiveRights(ACLPlain, chain[:at+1], s)&right, "seed %d: %v %v", seed, chain, s)
	}
}

func TestGroupsOfGroupsAreFound(t *testing.T) {
	above := map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d", "a"}, "d": {"d", "b"}, "alone": nil, "other": {"never"}}
	asked := map[string]int{}
	groups, err := ExpandGroups([]string{"a", "alone", "a"}, func(g string) ([]string, error) {
		asked[g]++
		return above[g], nil
	})
	require.NoError(t, err)
	require.Equal(t, NewGroups("a", "b", "c", "d", "alone"), groups)
	for g, n := range asked {
		require.Equal(t, 1, n, g)
	}
	groups, err = ExpandGroups(nil, nil)
	require.NoError(t, err)
	require.Empty(t, groups)
	require.False(t, Groups(nil).Has("a"))
}

func TestGroupsWithoutEndAreRefused(t *testing.T) {
	asked := 0
	_, err := ExpandGroups([]string{"0"}, func(string) ([]string, error) {
		asked++
		return []string{fmt.Sprint(asked)}, nil
	})
	require.ErrorIs(t, err, ErrLimit)
	require.LessOrEqual(t, asked, MaxGroups)

	wide := make([]string, MaxGroups+1)
	for i := range wide {
		wide[i] = fmt.Sprint(i)
	}
	none := func(string) ([]string, error) { return nil, nil }
	_, err = ExpandGroups(wide, none)
	require.ErrorIs(t, err, ErrLimit)
	groups, err := ExpandGroups(append(wide[1:], wide[1:]...), none)
	require.NoError(t, err)
	require.Len(t, groups, MaxGroups)
}

func TestAGroupThatCannotBeAskedIsAnError(t *testing.T) {
	down := errors.New("directory is down")
	groups, err := ExpandGroups([]string{"a", "b"}, func(g string) ([]string, error) {
		if g == "b" {
			return nil, down
		}
		return []string{"c"}, nil
	})
	require.ErrorIs(t, err, down)
	require.Nil(t, groups)
}
