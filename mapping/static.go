package mapping

import (
	"context"
	"fmt"
)

// Static returns a Mapper that sends everybody to one back end. When the
// route is not one that Check accepts, nobody is mapped and every answer is
// ErrUnavailable.
func Static(r Route) Mapper {
	err := r.Check()
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return MapperFunc(func(ctx context.Context, user string) (Route, error) {
		if _, ok := NormalName(user); !ok {
			return Route{}, ErrNotMapped
		}
		if err != nil {
			return Route{}, err
		}
		return r, nil
	})
}
