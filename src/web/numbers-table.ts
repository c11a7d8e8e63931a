import { html, type Html } from './html.ts'

/** @param rows - Of a header and a cell of the class `number` each. */
export function numbersTable(what: string, number: string, rows: readonly Html[]): Html {
  return html`<table>
    <thead>
      <tr>
        <th scope="col">${what}</th>
        <th scope="col" class="number">${number}</th>
      </tr>
    </thead>
    <tbody>
      ${rows}
    </tbody>
  </table>`
}
