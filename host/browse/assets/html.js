// @ts-check
import { h } from 'preact';
import htm from 'htm';

/** Makes elements of Preact out of a template. */
export const html = htm.bind(h);
