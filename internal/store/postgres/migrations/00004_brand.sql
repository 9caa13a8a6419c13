-- +goose Up
-- How a service looks: brand is JSON, logo a picture or NULL.
ALTER TABLE service ADD COLUMN brand TEXT NOT NULL DEFAULT '{}';
ALTER TABLE service ADD COLUMN logo BYTEA;
