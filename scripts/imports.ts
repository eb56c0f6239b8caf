import ts from 'typescript';

export interface Import {
  readonly specifier: string;
  readonly kind: 'static' | 'dynamic' | 'type';
  readonly line: number;
}

/** What a TypeScript or JavaScript file imports or exports from elsewhere, in order. */
export function importsOf(file: string, text: string): Import[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const found: Import[] = [];
  const add = (node: ts.Node, specifier: ts.Node | undefined, kind: Import['kind']) => {
    if (!specifier || !ts.isStringLiteral(specifier)) return;
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
    found.push({ specifier: specifier.text, kind, line });
  };
  const visit = (node: ts.Node) => {
    if (ts.isImportDeclaration(node))
      add(node, node.moduleSpecifier, bindsOnlyTypes(node.importClause) ? 'type' : 'static');
    if (ts.isExportDeclaration(node))
      add(node, node.moduleSpecifier, node.isTypeOnly || everyIsType(node.exportClause) ? 'type' : 'static');
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node, node.arguments[0], 'dynamic');
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node, node.argument.literal, 'type');
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function bindsOnlyTypes(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  return !clause.name && everyIsType(clause.namedBindings);
}

const everyIsType = (bindings: ts.NamedImportBindings | ts.NamedExportBindings | undefined): boolean =>
  bindings !== undefined &&
  (ts.isNamedImports(bindings) || ts.isNamedExports(bindings)) &&
  bindings.elements.length > 0 &&
  bindings.elements.every((element) => element.isTypeOnly);
