// Package mappingtest checks that a mapping.Mapper keeps the promises of
// package mapping. Anyone's implementation can run it.
package mappingtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/posthouse-mail/posthouse/mapping"
)

// Fixture is a Mapper together with what it is known to hold.
type Fixture struct {
	Mapper mapping.Mapper
	Known  map[string]mapping.Route // some users, in small letters
	// Unknown is a user whom the Mapper does not know; empty when it knows everybody.
	Unknown string
	// Broken is a Mapper of the kind whose source can't be asked; nil when
	// there is no such thing.
	Broken mapping.Mapper
}

// Run checks a Mapper.
func Run(t *testing.T, f Fixture) {
	ctx := context.Background()
	t.Run("KnownUsersHaveTheirRoutes", func(t *testing.T) {
		for user, want := range f.Known {
			for _, spelling := range []string{user, strings.ToUpper(user)} {
				if got, err := f.Mapper.Map(ctx, spelling); err != nil || got != want {
					t.Errorf("Map(%q) = %v, %v; want %v", spelling, got, err, want)
				}
			}
		}
	})
	t.Run("A06SpellingsOfANameAreOneUser", func(t *testing.T) { spellings(t, f) })
	t.Run("RoutesLeadSomewhere", func(t *testing.T) {
		for user := range f.Known {
			if r, err := f.Mapper.Map(ctx, user); err != nil || r.Check() != nil {
				t.Errorf("Map(%q) = %v, %v, which is no route: %v", user, r, err, r.Check())
			}
		}
	})
	t.Run("AnUnknownUserIsNotMapped", func(t *testing.T) {
		if f.Unknown == "" {
			t.Skip("everybody is known")
		}
		r, err := f.Mapper.Map(ctx, f.Unknown)
		if !errors.Is(err, mapping.ErrNotMapped) || errors.Is(err, mapping.ErrUnavailable) || r != (mapping.Route{}) {
			t.Errorf("Map(%q) = %v, %v; want ErrNotMapped", f.Unknown, r, err)
		}
	})
	t.Run("A01HostileNamesAreNobody", func(t *testing.T) { hostile(t, f) })
	t.Run("A05ABrokenSourceIsUnavailable", func(t *testing.T) { broken(t, f) })
	t.Run("AnEndedContextIsNoAnswerAboutTheUser", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		for user := range f.Known {
			if r, err := f.Mapper.Map(ended, user); errors.Is(err, mapping.ErrNotMapped) || err != nil && r != (mapping.Route{}) {
				t.Errorf("Map(%q) with an ended context = %v, %v", user, r, err)
			}
		}
	})
	t.Run("LookupsMayComeFromManyGoroutines", func(t *testing.T) { together(t, f) })
}

// spellings of a domain, and of a local part in quotes, don't matter either.
func spellings(t *testing.T, f Fixture) {
	for user, want := range f.Known {
		local, domain, ok := strings.Cut(user, "@")
		if !ok {
			continue
		}
		for _, spelling := range []string{user + ".", `"` + local + `"@` + domain, strings.ToUpper(local) + "@" + domain} {
			if got, err := f.Mapper.Map(context.Background(), spelling); err != nil || got != want {
				t.Errorf("Map(%q) = %v, %v; want %v as for %q", spelling, got, err, want, user)
			}
		}
	}
}

// broken checks that an outage says nothing of anybody, known or not.
func broken(t *testing.T, f Fixture) {
	if f.Broken == nil {
		t.Skip("nothing can break")
	}
	users := slices.Collect(maps.Keys(f.Known))
	if f.Unknown != "" {
		users = append(users, f.Unknown)
	}
	for range 2 { // the second time it may be remembered
		for _, user := range users {
			r, err := f.Broken.Map(context.Background(), user)
			if err == nil || errors.Is(err, mapping.ErrNotMapped) || r != (mapping.Route{}) {
				t.Errorf("Map(%q) with a broken source = %v, %v; want ErrUnavailable", user, r, err)
			}
		}
	}
}

func hostile(t *testing.T, f Fixture) {
	for _, user := range []string{
		"", "\x00", "a\x00b@example.test", "a\r\nb@example.test", "\xff\xfe", strings.Repeat("x", 64<<10),
	} {
		if _, err := f.Mapper.Map(context.Background(), user); !errors.Is(err, mapping.ErrNotMapped) {
			t.Errorf("Map(%.20q) = %v; want ErrNotMapped", user, err)
		}
	}
	if f.Unknown == "" {
		return
	}
	for _, user := range []string{"*", "admin)(uid=*", `\28`, "a,ou=x", "' OR 1=1 --", "%"} {
		if r, err := f.Mapper.Map(context.Background(), user); !errors.Is(err, mapping.ErrNotMapped) {
			t.Errorf("Map(%q) = %v, %v; want ErrNotMapped", user, r, err)
		}
	}
}

func together(t *testing.T, f Fixture) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				for user, want := range f.Known {
					if got, err := f.Mapper.Map(context.Background(), user); err != nil || got != want {
						t.Errorf("Map(%q) = %v, %v; want %v", user, got, err, want)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
