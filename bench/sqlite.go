// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/ncruces/go-sqlite3/driver"
)

func countSQLite(path string) (n int64, err error) {
	db, err := driver.Open("file:" + path)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.QueryRow("SELECT count(*) FROM verification").Scan(&n)
	return n, err
}
