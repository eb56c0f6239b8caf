import ts from 'typescript';

export interface Use {
  readonly name: string;
  readonly line: number;
}

/** What gives another answer each time it is asked, or comes at a time of its own: by the object it is read from. */
const members: Readonly<Record<string, readonly string[]>> = {
  Date: ['now'],
  performance: ['now'],
  process: ['hrtime'],
  Math: ['random'],
  crypto: ['getRandomValues', 'randomUUID'],
};

/** The same, called by name alone. */
const calls = new Set([
  ...['setTimeout', 'setInterval', 'setImmediate'],
  ...['randomBytes', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID'],
]);

/** Where a file asks the platform itself for the time, for a turn later, or for chance. */
export function platformUsesOf(file: string, text: string): Use[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const found: Use[] = [];
  const add = (node: ts.Node, name: string) =>
    found.push({ name, line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1 });
  const visit = (node: ts.Node) => {
    if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      const [object, member] = [node.expression.text, node.name.text];
      if (Object.hasOwn(members, object) && members[object]?.includes(member)) add(node, `${object}.${member}`);
    }
    if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && calls.has(node.expression.text))
      add(node, node.expression.text);
    if (ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === 'Date') {
      if ((node.arguments ?? []).length === 0) add(node, 'new Date()');
    }
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      if (/^(node:)?timers(\/|$)/.test(node.moduleSpecifier.text)) add(node, node.moduleSpecifier.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
