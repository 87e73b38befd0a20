/**
 * An object in which every name is a name like others, also `__proto__` and `constructor`: it inherits nothing. The engine keeps it as compact and as quick to fill
 * as any object of a class, which those of `Object.create(null)` are not.
 */
export class Members<Value> {
  [name: string]: Value
}
Object.setPrototypeOf(Members.prototype, null)
Reflect.deleteProperty(Members.prototype, 'constructor')
