package mappingtest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/mutation"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/mapping/mappingtest"
)

// fault is one way in which a Mapper can be wrong: what it makes of a good
// answer.
type fault struct {
	name, caught string
	breaks       func(ctx context.Context, user string, r mapping.Route, err error) (mapping.Route, error)
}

var errDown = errors.New("connection refused")

func faults() []fault {
	type route = mapping.Route
	return []fault{
		{"capitals are others", "KnownUsersHaveTheirRoutes A06SpellingsOfANameAreOneUser", func(_ context.Context, user string, r route, err error) (route, error) {
			if user != strings.ToLower(user) {
				return route{}, mapping.ErrNotMapped
			}
			return r, err
		}},
		{"quotes are others", "A06SpellingsOfANameAreOneUser", func(_ context.Context, user string, r route, err error) (route, error) {
			if strings.HasPrefix(user, `"`) {
				return route{}, mapping.ErrNotMapped
			}
			return r, err
		}},
		{"empty routes", "KnownUsersHaveTheirRoutes RoutesLeadSomewhere", func(_ context.Context, _ string, r route, err error) (route, error) {
			r.Host = ""
			return r, err
		}},
		{"unknown is down", "AnUnknownUserIsNotMapped", func(_ context.Context, _ string, r route, err error) (route, error) {
			if errors.Is(err, mapping.ErrNotMapped) {
				err = mapping.ErrUnavailable
			}
			return r, err
		}},
		{"unknown has a route too", "AnUnknownUserIsNotMapped", func(_ context.Context, _ string, r route, err error) (route, error) {
			if errors.Is(err, mapping.ErrNotMapped) {
				r.Host = "default"
			}
			return r, err
		}},
		{"down is unknown", "A05ABrokenSourceIsUnavailable", func(_ context.Context, _ string, r route, err error) (route, error) {
			if errors.Is(err, errDown) {
				err = mapping.ErrNotMapped
			}
			return r, err
		}},
		{"down is the default host", "A05ABrokenSourceIsUnavailable", func(_ context.Context, _ string, r route, err error) (route, error) {
			if errors.Is(err, errDown) {
				return route{Host: "default"}, nil
			}
			return r, err
		}},
		{"down is both", "A05ABrokenSourceIsUnavailable", func(_ context.Context, _ string, r route, err error) (route, error) {
			if errors.Is(err, errDown) {
				err = errors.Join(mapping.ErrUnavailable, mapping.ErrNotMapped)
			}
			return r, err
		}},
		{"hostile names are somebody", "A01HostileNamesAreNobody", func(_ context.Context, user string, r route, err error) (route, error) {
			if user == "*" {
				return route{Host: "a"}, nil
			}
			return r, err
		}},
		{"long names are an outage", "A01HostileNamesAreNobody", func(_ context.Context, user string, r route, err error) (route, error) {
			if len(user) > 1<<10 {
				return route{}, errDown
			}
			return r, err
		}},
		{"an ended context is unknown", "AnEndedContextIsNoAnswerAboutTheUser", func(ctx context.Context, _ string, r route, err error) (route, error) {
			if ctx.Err() != nil {
				return route{}, mapping.ErrNotMapped
			}
			return r, err
		}},
	}
}

func TestSuiteUnderMutation(t *testing.T) {
	breaks := func(_ context.Context, _ string, r mapping.Route, err error) (mapping.Route, error) { return r, err }
	for _, f := range faults() {
		if f.name == mutation.Chosen() {
			breaks = f.breaks
		}
	}
	mutant := func(m mapping.Mapper) mapping.Mapper {
		return mapping.MapperFunc(func(ctx context.Context, user string) (mapping.Route, error) {
			r, err := m.Map(ctx, user)
			return breaks(ctx, user, r, err)
		})
	}
	m, err := mapping.ReadTable(strings.NewReader("alice@example.test a:1\nbob b\n"))
	require.NoError(t, err)
	mappingtest.Run(t, mappingtest.Fixture{
		Mapper:  mutant(m),
		Known:   map[string]mapping.Route{"alice@example.test": {Host: "a", Port: 1}, "bob": {Host: "b"}},
		Unknown: "mallory@example.test",
		Broken: mutant(mapping.MapperFunc(func(context.Context, string) (mapping.Route, error) {
			return mapping.Route{}, errDown
		})),
	})
}

// TestSuiteCatchesEveryMutation breaks a Mapper in one way at a time and
// requires that the tests of the suite that must notice it do.
func TestSuiteCatchesEveryMutation(t *testing.T) {
	var all []mutation.Mutation
	for _, f := range faults() {
		all = append(all, mutation.Mutation{Name: f.name, Caught: f.caught})
	}
	mutation.Prove(t, "TestSuiteUnderMutation", all)
}
